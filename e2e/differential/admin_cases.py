"""Requests about versions, the cluster, topics and settings. A case is (name, answer, the error codes expected of Kafka or None)."""
import time

from data_cases import codes
from protocol import CLIENT as CLIENT_ID, batch

UNKNOWN_ID = b"unknown-topic-id"
CLIENT = {"ClientSoftwareName": "differential", "ClientSoftwareVersion": "1"}


def versions(side):
    for v in side.versions("ApiVersions"):
        yield f"ApiVersions v{v}", side.ask("ApiVersions", v, CLIENT), codes("NONE")
    yield "ApiVersions v3: a client name with a space", side.ask("ApiVersions", 3, {**CLIENT, "ClientSoftwareName": "a b"}), codes("INVALID_REQUEST")
    yield "ApiVersions v3: no client name", side.ask("ApiVersions", 3, {}), codes("INVALID_REQUEST")
    # A client that is newer than the broker: the answer is of version 0, whatever was asked.
    frame = side.protocol.header(18, 99, flexible=True) + side.protocol.encode("ApiVersionsRequest", 3, CLIENT)
    yield "ApiVersions v99", side.frame(frame, "ApiVersions", 0), codes("UNSUPPORTED_VERSION")


def metadata(side):
    side.create("metadata", 3)
    for v in side.versions("Metadata"):
        def case(name, expected, topics, own=False, v=v, **fields):
            answer = side.ask("Metadata", v, {"Topics": topics, "AllowAutoTopicCreation": False, **fields})
            if isinstance(answer, dict):
                for topic in answer["Topics"]:
                    topic["Partitions"].sort(key=lambda p: p["PartitionIndex"])
                if own:  # there may be topics of others
                    answer["Topics"] = sorted((t for t in answer["Topics"] if t["Name"] == side.name("metadata")), key=lambda t: t["Name"])
            return f"Metadata v{v}: {name}", answer, expected if expected is None else codes(*expected)
        yield case("all topics", None, [] if v == 0 else None, own=True)
        if v >= 1:
            yield case("no topics", None, [])
        yield case("a topic", ["NONE"], [{"Name": side.name("metadata")}])
        if v >= 4:  # before, asking creates
            yield case("an unknown topic", ["UNKNOWN_TOPIC_OR_PARTITION"], [{"Name": side.name("nowhere")}])
            yield case("a known and an unknown topic", None, [{"Name": side.name("metadata")}, {"Name": side.name("nowhere")}])
            yield case("a topic twice", None, [{"Name": side.name("metadata")}] * 2)
        yield case("an invalid name", ["INVALID_TOPIC_EXCEPTION"], [{"Name": "bad name"}])
        yield case("an empty name", None, [{"Name": ""}])
        if v >= 8:
            yield case("allowed operations", None, [{"Name": side.name("metadata")}],
                       IncludeTopicAuthorizedOperations=True, **({"IncludeClusterAuthorizedOperations": True} if v <= 10 else {}))
        if v >= 10:
            yield case("by id", None, [{"TopicId": side.ids["metadata"], "Name": None}])
            yield case("an id twice", None, [{"TopicId": side.ids["metadata"], "Name": None}] * 2)
            yield case("an unknown id twice", None, [{"TopicId": UNKNOWN_ID, "Name": None}] * 2)
            yield case("one by name, one by id", None, [{"Name": side.name("nowhere")}, {"TopicId": side.ids["metadata"], "Name": None}])
            yield case("by an unknown id", None, [{"TopicId": UNKNOWN_ID, "Name": None}])
            yield case("by neither name nor id", None, [{"Name": None}])
            yield case("by name and id", None, [{"TopicId": side.ids["metadata"], "Name": side.name("metadata")}])
    for v in side.versions("DescribeCluster"):
        for endpoint in (1, 2, 9) if v >= 1 else (1,):
            yield f"DescribeCluster v{v}: endpoint type {endpoint}", side.ask("DescribeCluster", v, {"EndpointType": endpoint}), None
        yield f"DescribeCluster v{v}: allowed operations", side.ask("DescribeCluster", v, {"IncludeClusterAuthorizedOperations": True, "EndpointType": 1}), None
    for name, topics, limit, cursor in (("a topic", ["metadata"], 2_000, None), ("in pages", ["metadata"], 2, None),
                                        ("the second page", ["metadata"], 2, ("metadata", 2)), ("an unknown topic", ["nowhere"], 2_000, None),
                                        ("both", ["metadata", "nowhere"], 2_000, None), ("a limit of 0", ["metadata"], 0, None),
                                        ("a cursor beyond the last", ["metadata"], 2_000, ("metadata", 9)),
                                        ("a negative cursor", ["metadata"], 2_000, ("metadata", -1))):
        yield f"DescribeTopicPartitions: {name}", side.ask("DescribeTopicPartitions", 0, {
            "Topics": [{"Name": side.name(t)} for t in topics], "ResponsePartitionLimit": limit,
            "Cursor": cursor and {"TopicName": side.name(cursor[0]), "PartitionIndex": cursor[1]}}), None
    for v in side.versions("DescribeLogDirs"):
        for hint in ("metadata", "nowhere"):
            answer = side.ask("DescribeLogDirs", v, {"Topics": [{"Topic": side.name(hint), "Partitions": [0, 2]}]})
            if isinstance(answer, dict):
                for topic in (t for result in answer["Results"] for t in result["Topics"]):
                    topic["Partitions"].sort(key=lambda p: p["PartitionIndex"])
            yield f"DescribeLogDirs v{v}: {hint}", answer, None
    for v in side.versions("FindCoordinator"):
        key = {"Key": "k", "CoordinatorKeys": ["k"]}
        if v >= 1:
            yield f"FindCoordinator v{v}: a bad type", side.ask("FindCoordinator", v, {**key, "KeyType": 9}), codes("INVALID_REQUEST")
        if v >= 4:
            yield f"FindCoordinator v{v}: no keys", side.ask("FindCoordinator", v, {"KeyType": 0}), None


def topics(side):
    side.create("exists", 2)
    name = side.name

    def topic(hint, partitions=1, replicas=1, **fields):
        return {"Name": name(hint), "NumPartitions": partitions, "ReplicationFactor": replicas, **fields}

    def setting(key, value):
        return {"Configs": [{"Name": key, "Value": value}]}
    by_hand = {"NumPartitions": -1, "ReplicationFactor": -1}
    requests = (("validate only", [topic("new")]), ("exists", [topic("exists")]), ("an invalid name", [{**topic("new"), "Name": "bad name"}]),
                ("an empty name", [{**topic("new"), "Name": ""}]), ("too many replicas", [topic("new", 1, 9)]), ("0 replicas", [topic("new", 1, 0)]),
                ("0 partitions", [topic("new", 0)]), ("-2 partitions", [topic("new", -2)]), ("a setting", [topic("new", **setting("retention.ms", "5"))]),
                ("an unknown setting", [topic("new", **setting("no.such", "5"))]), ("a bad value", [topic("new", **setting("retention.ms", "x"))]),
                ("a null value", [topic("new", **setting("retention.ms", None))]), ("the same twice", [topic("new"), topic("new")]), ("none", []),
                ("by hand", [{**topic("new"), **by_hand, "Assignments": [{"PartitionIndex": 0, "BrokerIds": [1]}]}]),
                ("by hand and by number", [topic("new", Assignments=[{"PartitionIndex": 0, "BrokerIds": [1]}])]),
                ("by hand, an unknown broker", [{**topic("new"), **by_hand, "Assignments": [{"PartitionIndex": 0, "BrokerIds": [99]}]}]),
                ("by hand, from 1", [{**topic("new"), **by_hand, "Assignments": [{"PartitionIndex": 1, "BrokerIds": [1]}]}]),
                ("by hand, no brokers", [{**topic("new"), **by_hand, "Assignments": [{"PartitionIndex": 0, "BrokerIds": []}]}]))
    for v in side.versions("CreateTopics"):
        for what, asked in requests:
            yield f"CreateTopics v{v}: {what}", side.ask("CreateTopics", v, {"Topics": asked, "timeoutMs": 10_000, "validateOnly": True}), None
        if v >= 4:
            yield f"CreateTopics v{v}: counts left to the broker", side.ask("CreateTopics", v, {
                "Topics": [topic("new", -1, -1)], "timeoutMs": 10_000, "validateOnly": True}), None
    for v in side.versions("CreatePartitions"):
        for what, hint, count, hand in (("validate only", "exists", 5, None), ("fewer", "exists", 1, None), ("as many", "exists", 2, None),
                                        ("an unknown topic", "nowhere", 3, None), ("0", "exists", 0, None), ("by hand", "exists", 3, [[1]]),
                                        ("by hand, too few", "exists", 4, [[1]]), ("by hand, an unknown broker", "exists", 3, [[99]]),
                                        ("by hand, no brokers", "exists", 3, [[]])):
            one = {"Name": name(hint), "Count": count, "Assignments": hand and [{"BrokerIds": b} for b in hand]}
            yield f"CreatePartitions v{v}: {what}", side.ask("CreatePartitions", v, {"Topics": [one], "TimeoutMs": 10_000, "ValidateOnly": True}), None
        twice = [{"Name": name("exists"), "Count": c, "Assignments": None} for c in (5, 6)]
        yield f"CreatePartitions v{v}: the same twice", side.ask("CreatePartitions", v, {"Topics": twice, "TimeoutMs": 10_000, "ValidateOnly": True}), None
    for v in side.versions("DeleteTopics"):
        if v < 6:
            for what, names in (("unknown", [name("nowhere")]), ("the same unknown twice", [name("nowhere")] * 2), ("none", [])):
                yield f"DeleteTopics v{v}: {what}", side.ask("DeleteTopics", v, {"TopicNames": names, "TimeoutMs": 10_000}), None
        else:
            for what, asked in (("unknown", [{"Name": name("nowhere")}]), ("unknown by id", [{"Name": None, "TopicId": UNKNOWN_ID}]),
                                ("by name and id", [{"Name": name("exists"), "TopicId": side.ids["exists"]}]), ("by neither", [{"Name": None}]), ("none", [])):
                yield f"DeleteTopics v{v}: {what}", side.ask("DeleteTopics", v, {"Topics": asked, "TimeoutMs": 10_000}), None
            yield f"DeleteTopics v{v}: a topic by id", side.ask("DeleteTopics", v, {
                "Topics": [{"Name": None, "TopicId": side.ids["exists"]}], "TimeoutMs": 10_000}), codes("NONE")


TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32


def configs(side):
    topic = side.name("configs")
    side.create("configs", retention_ms=4711)
    resources = (("some of a topic", TOPIC, topic, ["retention.ms", "cleanup.policy", "compression.type"]),
                 ("an unknown setting", TOPIC, topic, ["no.such"]), ("no settings", TOPIC, topic, []),
                 ("an unknown topic", TOPIC, side.name("nowhere"), None), ("an invalid topic", TOPIC, "bad name", None),
                 ("some of the broker", BROKER, "1", ["message.max.bytes", "num.partitions", "auto.create.topics.enable"]),
                 ("an unknown broker", BROKER, "99", ["num.partitions"]), ("a broker that is no number", BROKER, "x", ["num.partitions"]),
                 ("the default of all brokers", BROKER, "", None), ("an unknown type", 99, "x", None), ("an empty topic", TOPIC, "", None))
    for v in side.versions("DescribeConfigs"):
        for what, kind, name, keys in resources:
            answer = side.ask("DescribeConfigs", v, {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}],
                                                     "IncludeSynonyms": True, "IncludeDocumentation": v >= 3})
            yield f"DescribeConfigs v{v}: {what}", by_name(answer), None
    yield "DescribeConfigs v4: all of a topic", by_name(side.ask("DescribeConfigs", 4, {
        "Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": None}]})), codes("NONE")
    SET, DELETE, APPEND, SUBTRACT = range(4)
    changes = (("set", [("retention.ms", SET, "5")]), ("delete", [("retention.ms", DELETE, None)]), ("append", [("cleanup.policy", APPEND, "compact")]),
               ("subtract", [("cleanup.policy", SUBTRACT, "compact")]), ("append to a number", [("retention.ms", APPEND, "5")]),
               ("a bad value", [("retention.ms", SET, "x")]), ("an unknown setting", [("no.such", SET, "x")]), ("delete an unknown setting", [("no.such", DELETE, None)]),
               ("set to null", [("retention.ms", SET, None)]), ("an unknown operation", [("retention.ms", 9, "5")]),
               ("the same twice", [("retention.ms", SET, "5"), ("retention.ms", SET, "6")]), ("nothing", []))
    for v in side.versions("IncrementalAlterConfigs"):
        for what, ops in changes:
            one = {"ResourceType": TOPIC, "ResourceName": topic, "Configs": [{"Name": n, "ConfigOperation": o, "Value": x} for n, o, x in ops]}
            yield f"IncrementalAlterConfigs v{v}: {what}", side.ask("IncrementalAlterConfigs", v, {"Resources": [one], "ValidateOnly": True}), None
        for what, kind, name in (("an unknown topic", TOPIC, side.name("nowhere")), ("an unknown type", 99, "x"), ("an unknown broker", BROKER, "99"),
                                 ("a broker that is no number", BROKER, "x")):
            one = {"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": "retention.ms", "ConfigOperation": SET, "Value": "5"}]}
            yield f"IncrementalAlterConfigs v{v}: {what}", side.ask("IncrementalAlterConfigs", v, {"Resources": [one], "ValidateOnly": True}), None
        one = {"ResourceType": TOPIC, "ResourceName": topic, "Configs": [{"Name": "retention.ms", "ConfigOperation": SET, "Value": "5"}]}
        yield f"IncrementalAlterConfigs v{v}: a topic twice", side.ask("IncrementalAlterConfigs", v, {"Resources": [one, one], "ValidateOnly": True}), None
    for v in side.versions("AlterConfigs"):
        for what, name, entries in (("set", topic, [("retention.ms", "5")]), ("a bad value", topic, [("retention.ms", "x")]),
                                    ("an unknown setting", topic, [("no.such", "5")]), ("set to null", topic, [("retention.ms", None)]), ("nothing", topic, []),
                                    ("an unknown topic", side.name("nowhere"), [("retention.ms", "5")])):
            one = {"ResourceType": TOPIC, "ResourceName": name, "Configs": [{"Name": n, "Value": x} for n, x in entries]}
            yield f"AlterConfigs v{v}: {what}", side.ask("AlterConfigs", v, {"Resources": [one], "ValidateOnly": True}), None


def group_configs(side):
    """Whether there is such a group is no matter: settings are for groups to come, too."""
    group, session, heartbeat = side.name("group"), "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
    SET, DELETE, APPEND, SUBTRACT = range(4)

    def alter(v, name, ops, validate_only):
        one = {"ResourceType": GROUP, "ResourceName": name, "Configs": [{"Name": n, "ConfigOperation": o, "Value": x} for n, o, x in ops]}
        return side.ask("IncrementalAlterConfigs", v, {"Resources": [one], "ValidateOnly": validate_only})

    def describe(v, name, keys=None):
        return by_name(side.ask("DescribeConfigs", v, {"Resources": [{"ResourceType": GROUP, "ResourceName": name, "ConfigurationKeys": keys}],
                                                       "IncludeSynonyms": True, "IncludeDocumentation": v >= 3}))

    def await_source(source):
        """Kafka's broker hears a moment later of what its controller has taken."""
        deadline = time.monotonic() + 20
        while describe(4, group, [session])["Results"][0]["Configs"][0]["ConfigSource"] != source:
            assert time.monotonic() < deadline, f"{side.address} does not change {group} within 20 s"
            time.sleep(0.05)
    for v in side.versions("DescribeConfigs"):
        for what, name, keys in (("one setting", group, [session]), ("an unknown setting", group, ["no.such"]), ("an empty name", "", None)):
            yield f"DescribeConfigs v{v}: a group, {what}", describe(v, name, keys), None
    yield "DescribeConfigs v4: all of a group", describe(4, group), codes("NONE")
    changes = (("set", [(session, SET, "50000")], "NONE"), ("too short", [(session, SET, "44999")], "INVALID_CONFIG"),
               ("too long", [(heartbeat, SET, "15001")], "INVALID_CONFIG"), ("0", [("consumer.assignment.interval.ms", SET, "0")], "NONE"),
               ("less than 0", [("consumer.assignment.interval.ms", SET, "-1")], "INVALID_CONFIG"), ("with blanks", [(session, SET, " 50000 ")], "NONE"),
               ("no number", [(session, SET, "x")], "INVALID_CONFIG"), ("empty", [(session, SET, "")], "INVALID_CONFIG"),
               ("null", [(session, SET, None)], "INVALID_REQUEST"), ("a broker's setting", [("group.max.size", SET, "5")], "INVALID_CONFIG"),
               ("an unknown setting", [("no.such", SET, "5")], "INVALID_CONFIG"), ("delete an unknown setting", [("no.such", DELETE, None)], "NONE"),
               ("append to a number", [(session, APPEND, "5")], "INVALID_CONFIG"), ("subtract from an unknown", [("no.such", SUBTRACT, "5")], "INVALID_CONFIG"),
               ("the same twice", [(session, SET, "50000"), (session, DELETE, None)], "INVALID_REQUEST"), ("nothing", [], "NONE"),
               ("one right, one wrong", [(session, SET, "50000"), (heartbeat, SET, "1")], "INVALID_CONFIG"),
               ("of share groups", [("share.session.timeout.ms", SET, "50000")], "NONE"),
               ("of share groups, wrong", [("share.isolation.level", SET, "none")], "INVALID_CONFIG"))
    for v in side.versions("IncrementalAlterConfigs"):
        for what, ops, expected in changes:
            yield f"IncrementalAlterConfigs v{v}: a group, {what}", alter(v, group, ops, True), codes(expected)
        yield f"IncrementalAlterConfigs v{v}: the default of groups", alter(v, "", [(session, SET, "50000")], True), codes("INVALID_REQUEST")
    for v in side.versions("AlterConfigs"):
        for what, entries in (("set", [(session, "50000")]), ("too short", [(session, "1")]), ("an unknown setting", [("no.such", "5")]), ("nothing", [])):
            one = {"ResourceType": GROUP, "ResourceName": group, "Configs": [{"Name": n, "Value": x} for n, x in entries]}
            yield f"AlterConfigs v{v}: a group, {what}", side.ask("AlterConfigs", v, {"Resources": [one], "ValidateOnly": True}), None
    yield "IncrementalAlterConfigs v1: a group, for good", alter(1, group, [(session, SET, "50000"), (heartbeat, SET, "6000")], False), codes("NONE")
    await_source(8)
    yield "DescribeConfigs v4: a group's own", describe(4, group, [session, heartbeat]), codes("NONE")
    side.create("listed")
    asked = (("everything", []), ("groups", [GROUP]), ("topics", [TOPIC]), ("brokers", [BROKER, LOGGER]), ("client metrics", [CLIENT_METRICS]),
             ("groups twice", [GROUP, GROUP]), ("an unknown type", [GROUP, 99]), ("no type", [0]))
    for v in side.versions("ListConfigResources"):
        for what, kinds in asked if v else asked[:1]:
            yield f"ListConfigResources v{v}: {what}", own(side, side.ask("ListConfigResources", v, {"ResourceTypes": kinds})), None
    yield "IncrementalAlterConfigs v1: a group, delete", alter(1, group, [(session, DELETE, None), (heartbeat, DELETE, None)], False), codes("NONE")
    await_source(5)
    yield "ListConfigResources v1: groups without settings", own(side, side.ask("ListConfigResources", 1, {"ResourceTypes": [GROUP]})), codes("NONE")


def own(side, answer):
    """Without what others made; Kafka lists in no order."""
    if isinstance(answer, dict):
        listed = (r for r in answer["ConfigResources"] if r.get("ResourceType") in (BROKER, LOGGER) or side.run in r["ResourceName"])
        answer["ConfigResources"] = sorted(listed, key=lambda r: (r.get("ResourceType"), r["ResourceName"]))
    return answer


def by_name(answer):
    if isinstance(answer, dict):
        for result in answer["Results"]:
            result["Configs"].sort(key=lambda c: c["Name"])
    return answer


def quotas(side):
    """Entities of names that nobody else has, and taken away again: quotas of everybody would slow the other cases down."""
    user, client, ip = side.name("user"), side.name("client"), "192.0.2.7"
    produce, percentage, connections = "producer_byte_rate", "request_percentage", "connection_creation_rate"

    def ordered(answer):
        """Kafka tells entities, kinds and keys in no order."""
        if isinstance(answer, dict):
            for entry in answer["Entries"] or []:
                entry["Entity"].sort(key=lambda part: part["EntityType"])
                entry.get("Values", []).sort(key=lambda value: value["Key"])
            (answer["Entries"] or []).sort(key=lambda entry: [(part["EntityType"], part["EntityName"] or "") for part in entry["Entity"]])
        return answer

    def entry(entity, *ops):
        return {"Entity": [{"EntityType": kind, "EntityName": name} for kind, name in entity],
                "Ops": [{"Key": key, "Value": 0.0 if value is None else value, "Remove": value is None} for key, value in ops]}

    def alter(v, entries, validate_only=True):
        return ordered(side.ask("AlterClientQuotas", v, {"Entries": entries, "ValidateOnly": validate_only}))

    def describe(v, components, strict=True):
        components = [{"EntityType": kind, "MatchType": how, "Match": match} for kind, how, match in components]
        return ordered(side.ask("DescribeClientQuotas", v, {"Components": components, "Strict": strict}))

    def await_entities(count):
        """Kafka's broker hears a moment later of what its controller has taken."""
        deadline = time.monotonic() + 20
        while len(describe(1, [("user", EXACT, user)], strict=False)["Entries"]) != count:
            assert time.monotonic() < deadline, f"{side.address} does not show {count} entities within 20 s"
            time.sleep(0.05)
    EXACT, DEFAULT, SPECIFIED = range(3)
    of_user = [("user", user)]
    alterations = (("set", [entry(of_user, (produce, 1024.0))], "NONE"), ("nothing", [entry(of_user)], "NONE"), ("no entities", [], None),
                   ("a user and a client id", [entry([("user", user), ("client-id", None)], (percentage, 12.5))], "NONE"),
                   ("a fraction of a byte", [entry(of_user, (produce, 1.5))], "INVALID_REQUEST"), ("0", [entry(of_user, (produce, 0.0))], "INVALID_REQUEST"),
                   ("less than 0", [entry(of_user, (percentage, -1.0))], "INVALID_REQUEST"), ("too much", [entry(of_user, (produce, 1e19))], "INVALID_REQUEST"),
                   ("an unknown key", [entry(of_user, ("no.such", 1.0))], "INVALID_REQUEST"), ("an unknown key away", [entry(of_user, ("no.such", None))], "NONE"),
                   ("a key twice", [entry(of_user, (produce, 1.0), (produce, 2.0))], "INVALID_REQUEST"),
                   ("an entity twice", [entry(of_user, (produce, 1.0)), entry(of_user, (produce, 2.0))], "INVALID_REQUEST"),
                   ("a kind twice", [entry([("user", None), ("user", user)], (produce, 1.0))], "NONE"),
                   ("an unknown kind", [entry([("group", user)], (produce, 1.0))], "INVALID_REQUEST"), ("nobody", [entry([], (produce, 1.0))], "INVALID_REQUEST"),
                   ("an empty name", [entry([("user", "")], (produce, 1.0))], "INVALID_REQUEST"), ("an address", [entry([("ip", ip)], (connections, 5.0))], "NONE"),
                   ("an address's bytes", [entry([("ip", ip)], (produce, 5.0))], "INVALID_REQUEST"),
                   ("a user's connections", [entry(of_user, (connections, 5.0))], "INVALID_REQUEST"),
                   ("too many connections", [entry([("ip", ip)], (connections, 1e10))], "INVALID_REQUEST"),
                   ("no address", [entry([("ip", "300.0.0.1")], (connections, 5.0))], "INVALID_REQUEST"),
                   ("an address and a user", [entry([("ip", ip), ("user", user)], (connections, 5.0))], "INVALID_REQUEST"),
                   ("one right, one wrong", [entry(of_user, (produce, 1.0)), entry([("user", None)], (produce, 0.5))], None))
    for v in side.versions("AlterClientQuotas"):
        for what, entries, expected in alterations:
            yield f"AlterClientQuotas v{v}: {what}", alter(v, entries), expected if expected is None else codes(expected)
    filters = (("a user", [("user", EXACT, user)], "NONE"), ("any client id of a user", [("user", EXACT, user), ("client-id", SPECIFIED, None)], "NONE"),
               ("the default client id", [("user", EXACT, user), ("client-id", DEFAULT, None)], "NONE"), ("an address", [("ip", EXACT, ip)], "NONE"),
               ("nobody", [], "NONE"), ("an empty kind", [("", EXACT, user)], "INVALID_REQUEST"), ("an unknown kind", [("group", EXACT, user)], "UNSUPPORTED_VERSION"),
               ("a kind twice", [("user", EXACT, user), ("user", DEFAULT, None)], "INVALID_REQUEST"), ("no name", [("user", EXACT, None)], "INVALID_REQUEST"),
               ("a default with a name", [("user", DEFAULT, user)], "INVALID_REQUEST"), ("any with a name", [("user", SPECIFIED, user)], "INVALID_REQUEST"),
               ("an unknown match", [("user", 3, None)], "INVALID_REQUEST"), ("an address and a user", [("ip", EXACT, ip), ("user", EXACT, user)], "INVALID_REQUEST"))
    for v in side.versions("AlterClientQuotas"):
        entities = of_user, [("user", user), ("client-id", client)], [("user", user), ("client-id", None)]
        given = [entry(entity, (produce, 1024.0), (percentage, 12.5)) for entity in entities]
        yield f"AlterClientQuotas v{v}: for good", alter(v, given, False), codes("NONE")
        await_entities(3)
        for what, components, expected in filters:
            yield f"DescribeClientQuotas v{v}: {what}", describe(v, components), codes(expected)
        yield f"DescribeClientQuotas v{v}: a user, others too", describe(v, [("user", EXACT, user)], strict=False), codes("NONE")
        yield f"AlterClientQuotas v{v}: one key away", alter(v, [entry(entities[1], (produce, None))], False), codes("NONE")
        yield f"AlterClientQuotas v{v}: away", alter(v, [entry(entity, (produce, None), (percentage, None)) for entity in entities], False), codes("NONE")
        await_entities(0)


def throttling(side):
    """What a client over its quota is told, in seconds, and whether it is not heard for so long. The quota is ours: it goes with the case."""
    name = side.create("throttled", retention_ms=-1)
    batch_of_many = batch([bytes(130_000)])

    def quota(key, value):
        """Kafka's broker hears a moment later of what its controller has taken."""
        entity = {"Entity": [{"EntityType": "client-id", "EntityName": CLIENT_ID}], "Ops": [{"Key": key, "Value": value or 0.0, "Remove": value is None}]}
        told = side.ask("AlterClientQuotas", 1, {"Entries": [entity], "ValidateOnly": False})
        assert told["Entries"][0]["ErrorCode"] == 0, f"{side.address} does not set {key}: {told}"
        time.sleep(0.5)

    def seen(answer):
        if not isinstance(answer, dict):
            return answer
        began = time.monotonic()
        side.ask("ApiVersions", 0, {})
        told = answer.pop("ThrottleTimeMs") / 1000
        answer["SecondsTold"] = round(told)
        answer["IsHeardTooSoon"] = time.monotonic() - began < told - 0.5
        return answer

    def topic(hint, partitions):
        return {"Name": side.name(hint), "NumPartitions": partitions, "ReplicationFactor": 1}
    quota("producer_byte_rate", 10_000.0)
    yield "throttling: Produce", seen(side.produce("throttled", batch_of_many)), codes("NONE")
    quota("producer_byte_rate", None)
    quota("consumer_byte_rate", 10_000.0)
    yield "throttling: Fetch", seen(side.ask("Fetch", 11, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 1, "MaxBytes": 10_000_000, "SessionEpoch": -1, "Topics": [
        {"Topic": name, "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1_000_000, "CurrentLeaderEpoch": -1}]}]})), codes("NONE")
    quota("consumer_byte_rate", None)
    quota("controller_mutation_rate", 1.0)
    answer = side.ask("CreateTopics", 7, {"Topics": [topic("many", 14), topic("one", 1)], "timeoutMs": 10_000, "validateOnly": True})
    if isinstance(answer, dict):
        answer["Topics"] = [{"Name": t["Name"], "ErrorCode": t["ErrorCode"]} for t in sorted(answer["Topics"], key=lambda t: t["Name"])]
    yield "throttling: CreateTopics", seen(answer), [89]  # THROTTLING_QUOTA_EXCEEDED
    quota("controller_mutation_rate", None)
