"""Requests about the quorum, features, elections, reassignments, directories, brokers and clients' metrics. A case is (name, answer, the
error codes expected of Kafka or None)."""
import time
import uuid

from admin_cases import by_name
from data_cases import codes

CLUSTER_METADATA = "__cluster_metadata"
CLIENT_METRICS = 16
SET, DELETE, APPEND, SUBTRACT = range(4)
NOBODY = 99


def quorum(side):
    def asked(*topics):
        return {"Topics": [{"TopicName": t, "Partitions": [{"PartitionIndex": p} for p in ps]} for t, ps in topics]}
    for v in side.versions("DescribeQuorum"):
        for what, body in (("the metadata", asked((CLUSTER_METADATA, [0]))), ("another partition", asked((CLUSTER_METADATA, [1]))),
                           ("another topic", asked((side.name("nowhere"), [0]))), ("nothing", asked()), ("no partitions", asked((CLUSTER_METADATA, []))),
                           ("two topics", asked((CLUSTER_METADATA, [0]), (side.name("nowhere"), [0]))),
                           ("the metadata twice", asked((CLUSTER_METADATA, [0, 0])))):
            yield f"DescribeQuorum v{v}: {what}", without_positions(side.ask("DescribeQuorum", v, body)), None


def without_positions(answer):
    """Each broker's metadata has its own past; that there is some, and that nobody is behind, is compared."""
    for partition in (p for t in answer["Topics"] for p in t["Partitions"]) if isinstance(answer, dict) else ():
        end = max(partition["HighWatermark"], 0)
        for field in ("LeaderEpoch", "HighWatermark"):
            partition[field] = "<some>" if partition[field] > 0 else partition[field]
        for voter in partition["CurrentVoters"]:
            voter["LogEndOffset"] = "<the end>" if voter["LogEndOffset"] >= end else voter["LogEndOffset"]
            for field in ("LastFetchTimestamp", "LastCaughtUpTimestamp"):
                if field in voter:
                    voter[field] = "<now>" if abs(voter[field] - time.time() * 1000) < 60_000 else voter[field]
    return answer


def features(side):
    def update(v, name, level, upgrade_type, validate_only=True):
        one = {"Feature": name, "MaxVersionLevel": level}
        one |= {"AllowDowngrade": upgrade_type != 1} if v == 0 else {"UpgradeType": upgrade_type}
        return side.ask("UpdateFeatures", v, {"timeoutMs": 20_000, "FeatureUpdates": [one], **({"ValidateOnly": validate_only} if v else {})})
    for v in side.versions("UpdateFeatures"):
        # Version 0 cannot only be asked whether it would: what succeeds there is what is so already.
        for what, name, level, kind in (("an unknown feature", "no.such", 1, 1), ("a level too high", "group.version", 9, 1),
                                        ("a negative level", "group.version", -1, 1), ("an empty name", "", 1, 1),
                                        ("as it is", "group.version", 1, 1), ("as it is, downgrading", "group.version", 1, 2),
                                        ("down without saying so", "group.version", 0, 1),
                                        ("metadata.version too high", "metadata.version", 99, 1), ("metadata.version 0", "metadata.version", 0, 2),
                                        ("metadata.version too low", "metadata.version", 6, 3),
                                        ("metadata.version down, upgrading", "metadata.version", 20, 1)):
            yield f"UpdateFeatures v{v}: {what}", update(v, name, level, kind), None
        if v:
            for what, name, level, kind in (("down", "group.version", 0, 2), ("down, not safely", "group.version", 0, 3), ("type 0", "group.version", 1, 0),
                                            ("type 9", "group.version", 1, 9), ("metadata.version down", "metadata.version", 25, 2),
                                            ("metadata.version down, not safely", "metadata.version", 25, 3)):
                yield f"UpdateFeatures v{v}: {what}", update(v, name, level, kind), None
        one = {"Feature": "group.version", "MaxVersionLevel": 1}
        yield f"UpdateFeatures v{v}: the same twice", side.ask("UpdateFeatures", v, {"timeoutMs": 20_000, "FeatureUpdates": [one, one]}), None
        yield f"UpdateFeatures v{v}: nothing", side.ask("UpdateFeatures", v, {"timeoutMs": 20_000, "FeatureUpdates": []}), None


def elections(side):
    side.create("elect", 2)
    topic = side.name("elect")
    for v in side.versions("ElectLeaders"):
        for kind in (0, 1, 9) if v >= 1 else (0,):
            for what, asked in (("a partition", [(topic, [0])]), ("two partitions", [(topic, [1, 0])]), ("an unknown partition", [(topic, [7, 0])]),
                                ("a negative partition", [(topic, [-1])]), ("an unknown topic", [(side.name("nowhere"), [0])]), ("no partitions", [(topic, [])]),
                                ("no topics", []), ("a topic twice", [(topic, [0]), (topic, [0])]), ("a partition twice", [(topic, [0, 0])]),
                                ("all", None)):
                body = {"TopicPartitions": asked if asked is None else [{"Topic": t, "Partitions": p} for t, p in asked], "TimeoutMs": 20_000}
                if v >= 1:
                    body["ElectionType"] = kind
                answer = side.ask("ElectLeaders", v, body)
                if asked is None and isinstance(answer, dict):  # there are topics of others
                    results = answer["ReplicaElectionResults"]
                    answer["ReplicaElectionResults"] = [r for r in results if r["Topic"] == topic]
                yield f"ElectLeaders v{v}: type {kind}, {what}", answer, None


def reassignments(side):
    side.create("reassign", 2)
    topic, nowhere = side.name("reassign"), side.name("nowhere")
    for v in side.versions("AlterPartitionReassignments"):
        for what, asked in (("to where it is", [(topic, [(0, [1])])]), ("to an unknown broker", [(topic, [(0, [NOBODY])])]),
                            ("to one more", [(topic, [(0, [1, NOBODY])])]), ("to the same twice", [(topic, [(0, [1, 1])])]),
                            ("to none", [(topic, [(0, [])])]), ("to a negative", [(topic, [(0, [-1])])]),
                            ("cancel", [(topic, [(0, None)])]), ("cancel an unknown partition", [(topic, [(7, None)])]),
                            ("an unknown topic", [(nowhere, [(0, [1])])]), ("cancel an unknown topic", [(nowhere, [(0, None)])]),
                            ("an unknown partition", [(topic, [(7, [1])])]), ("a negative partition", [(topic, [(-1, [1])])]),
                            ("one right, one wrong", [(topic, [(0, [1]), (1, [NOBODY])])]), ("a partition twice", [(topic, [(0, [1]), (0, [1])])]),
                            ("a topic twice", [(topic, [(0, [1])]), (topic, [(1, [1])])]), ("nothing", []), ("no partitions", [(topic, [])])):
            for change in (True, False) if v >= 1 else (True,):
                body = {"TimeoutMs": 20_000, "Topics": [
                    {"Name": t, "Partitions": [{"PartitionIndex": p, "Replicas": r} for p, r in ps]} for t, ps in asked]}
                if v >= 1:
                    body["AllowReplicationFactorChange"] = change
                answer = side.ask("AlterPartitionReassignments", v, body)
                yield f"AlterPartitionReassignments v{v}: {what}{'' if change else ', as many'}", answer, None
    for v in side.versions("ListPartitionReassignments"):
        for what, asked in (("all", None), ("none", []), ("a topic", [(topic, [0, 1])]), ("an unknown partition", [(topic, [7])]),
                            ("an unknown topic", [(nowhere, [0])]), ("no partitions", [(topic, [])])):
            body = {"TimeoutMs": 20_000, "Topics": asked if asked is None else [{"Name": t, "PartitionIndexes": p} for t, p in asked]}
            yield f"ListPartitionReassignments v{v}: {what}", side.ask("ListPartitionReassignments", v, body), None


def directories(side):
    side.create("directories", 2)
    topic, nowhere = side.name("directories"), side.name("nowhere")
    here = side.ask("DescribeLogDirs", 4, {"Topics": [{"Topic": topic, "Partitions": [0]}]})["Results"][0]["LogDir"]
    for v in side.versions("AlterReplicaLogDirs"):
        for what, asked in (("where it is", [(here, [(topic, [0, 1])])]), ("an unknown directory", [("/no/such", [(topic, [0])])]),
                            ("a directory that is not absolute", [("data", [(topic, [0])])]), ("an empty directory", [("", [(topic, [0])])]),
                            ("an unknown topic", [(here, [(nowhere, [0])])]), ("an unknown partition", [(here, [(topic, [7])])]),
                            ("an unknown topic to an unknown directory", [("/no/such", [(nowhere, [0])])]), ("nothing", []),
                            ("two directories", [("/no/such", [(topic, [0])]), (here, [(topic, [1])])]),
                            ("one partition to two directories", [("/no/such", [(topic, [0])]), (here, [(topic, [0])])])):
            body = {"Dirs": [{"Path": d, "Topics": [{"Name": t, "Partitions": p} for t, p in ts]} for d, ts in asked]}
            answer = side.ask("AlterReplicaLogDirs", v, body)
            if isinstance(answer, dict):
                answer["Results"].sort(key=lambda r: r["TopicName"])
                for result in answer["Results"]:
                    result["Partitions"].sort(key=lambda p: p["PartitionIndex"])
            yield f"AlterReplicaLogDirs v{v}: {what}", answer, None


def brokers(side):
    for v in side.versions("UnregisterBroker"):
        for what, broker in (("an unknown broker", NOBODY), ("a negative broker", -1)):
            yield f"UnregisterBroker v{v}: {what}", side.ask("UnregisterBroker", v, {"BrokerId": broker}), None


# An OTLP MetricsData with one counter: resource_metrics { scope_metrics { metrics { name, sum { data_points { as_int } } } } }
def otlp(name):
    def field(number, data):
        assert len(data) < 128
        return bytes([number << 3 | 2, len(data)]) + data
    point = b"\x19" + (1).to_bytes(8, "little") + b"\x31" + (5).to_bytes(8, "little", signed=True)
    metric = field(1, name.encode()) + field(7, field(1, point) + b"\x10\x01\x18\x01")
    return field(1, field(2, field(2, metric)))


def telemetry(side):
    name = side.name("metrics")

    def alter(v, ops, of=name, validate_only=True):
        one = {"ResourceType": CLIENT_METRICS, "ResourceName": of, "Configs": [{"Name": n, "ConfigOperation": o, "Value": x} for n, o, x in ops]}
        return side.ask("IncrementalAlterConfigs", v, {"Resources": [one], "ValidateOnly": validate_only})

    def describe(v, of=name, keys=None):
        return by_name(side.ask("DescribeConfigs", v, {"Resources": [{"ResourceType": CLIENT_METRICS, "ResourceName": of, "ConfigurationKeys": keys}],
                                                       "IncludeSynonyms": True, "IncludeDocumentation": v >= 3}))

    def await_interval(value):
        deadline = time.monotonic() + 20
        while not any(c["Name"] == "interval.ms" and c["Value"] == value for r in describe(4)["Results"] for c in r["Configs"]):
            assert time.monotonic() < deadline, f"{side.address} does not change {name} within 20 s"
            time.sleep(0.05)
    changes = (("interval.ms", [("interval.ms", SET, "1000")]), ("interval.ms too small", [("interval.ms", SET, "99")]),
               ("interval.ms too large", [("interval.ms", SET, "3600001")]), ("interval.ms that is no number", [("interval.ms", SET, "x")]),
               ("an empty interval.ms", [("interval.ms", SET, "")]),
               ("all metrics", [("metrics", SET, "*")]), ("no metrics", [("metrics", SET, "")]), ("two metrics", [("metrics", SET, "org.apache.kafka.a, org.b")]),
               ("append a metric", [("metrics", APPEND, "org.c")]), ("append to a number", [("interval.ms", APPEND, "5")]),
               ("match", [("match", SET, "client_software_name=apache-kafka-java,client_software_version=4.*")]),
               ("an unknown selector", [("match", SET, "no_such=x")]), ("a pattern that is none", [("match", SET, "client_id=(")]),
               ("match without a value", [("match", SET, "client_id")]), ("an empty match", [("match", SET, "")]), ("match: two equal signs", [("match", SET, "client_id=a=b")]),
               ("an unknown setting", [("no.such", SET, "5")]), ("delete", [("interval.ms", DELETE, None)]), ("delete an unknown setting", [("no.such", DELETE, None)]),
               ("set to null", [("interval.ms", SET, None)]), ("nothing", []))
    for v in side.versions("IncrementalAlterConfigs"):
        for what, ops in changes:
            yield f"IncrementalAlterConfigs v{v}: clients' metrics, {what}", alter(v, ops), None
        yield f"IncrementalAlterConfigs v{v}: clients' metrics without a name", alter(v, [("interval.ms", SET, "1000")], of=""), None
    for v in side.versions("DescribeConfigs"):
        for what, of, keys in (("nothing set", name, None), ("an empty name", "", None)):
            yield f"DescribeConfigs v{v}: clients' metrics, {what}", describe(v, of, keys), None
    for v in side.versions("AlterConfigs"):
        one = {"ResourceType": CLIENT_METRICS, "ResourceName": name, "Configs": [{"Name": "interval.ms", "Value": "1000"}]}
        yield f"AlterConfigs v{v}: clients' metrics", side.ask("AlterConfigs", v, {"Resources": [one], "ValidateOnly": True}), None

    zero, mine, other = bytes(16), uuid.uuid4().bytes, uuid.uuid4().bytes

    def subscriptions(v, client):
        return side.ask("GetTelemetrySubscriptions", v, {"ClientInstanceId": client})

    def push(v, client, subscription, metrics=b"", **fields):
        return side.ask("PushTelemetry", v, {"ClientInstanceId": client, "SubscriptionId": subscription, "Metrics": metrics, **fields})
    for v in side.versions("GetTelemetrySubscriptions"):
        yield f"GetTelemetrySubscriptions v{v}: nobody subscribes", subscriptions(v, zero), None
    # Of this test's client only, so that the others' answers do not depend on it.
    yield "IncrementalAlterConfigs v1: clients' metrics, for good", alter(1, [
        ("interval.ms", SET, "2000"), ("metrics", SET, "org.apache.kafka.producer"), ("match", SET, "client_id=differential")], validate_only=False), codes("NONE")
    await_interval("2000")
    yield "DescribeConfigs v4: clients' metrics", describe(4), codes("NONE")
    yield "DescribeConfigs v4: one of clients' metrics", describe(4, keys=["metrics"]), codes("NONE")
    for v in side.versions("GetTelemetrySubscriptions"):
        mine, other = uuid.uuid4().bytes, uuid.uuid4().bytes
        told = subscriptions(v, mine)
        subscription = told["SubscriptionId"] if isinstance(told, dict) else 0
        yield f"GetTelemetrySubscriptions v{v}: the first time", told, None
        yield f"GetTelemetrySubscriptions v{v}: too soon", subscriptions(v, mine), None
        yield f"PushTelemetry v{v}: without an id", push(v, zero, subscription), None
        yield f"PushTelemetry v{v}: another subscription", push(v, mine, subscription + 1), None
        yield f"PushTelemetry v{v}: after that", push(v, mine, subscription, otlp("org.apache.kafka.producer.x")), None
        yield f"PushTelemetry v{v}: too soon", push(v, mine, subscription, otlp("org.apache.kafka.producer.x")), None
        time.sleep(2.2)
        yield f"PushTelemetry v{v}: not OTLP", push(v, mine, subscription, b"\xff\xff\xff\xff"), None
        time.sleep(2.2)
        yield f"PushTelemetry v{v}: an unknown compression", push(v, mine, subscription, otlp("a"), CompressionType=9), None
        time.sleep(2.2)
        yield f"PushTelemetry v{v}: gzip that is none", push(v, mine, subscription, otlp("a"), CompressionType=1), None
        time.sleep(2.2)
        yield f"PushTelemetry v{v}: too large", push(v, mine, subscription, bytes(1_100_000)), None
        yield f"PushTelemetry v{v}: the last, too soon", push(v, mine, subscription, otlp("a"), Terminating=True), None
        yield f"PushTelemetry v{v}: the last, again", push(v, mine, subscription, otlp("a"), Terminating=True), None
        yield f"PushTelemetry v{v}: of nobody known", push(v, other, subscription, otlp("a")), None
        yield f"PushTelemetry v{v}: nothing", push(v, uuid.uuid4().bytes, subscription), None
    yield "IncrementalAlterConfigs v1: clients' metrics, all deleted", alter(1, [
        ("interval.ms", DELETE, None), ("metrics", DELETE, None), ("match", DELETE, None)], validate_only=False), codes("NONE")
