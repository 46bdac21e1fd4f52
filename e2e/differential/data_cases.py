"""Requests that write, read and find records. A case is (name, answer, the error codes expected of Kafka, or None when none is stated)."""
import time

from protocol import CLOSED, batch, crc32c


def codes(*names):
    return [CODES[n] for n in names if n != "NONE"]


CODES = {"NONE": 0, "OFFSET_OUT_OF_RANGE": 1, "CORRUPT_MESSAGE": 2, "UNKNOWN_TOPIC_OR_PARTITION": 3, "MESSAGE_TOO_LARGE": 10,
         "INVALID_TOPIC_EXCEPTION": 17, "INVALID_REQUIRED_ACKS": 21, "INVALID_TIMESTAMP": 32, "UNSUPPORTED_VERSION": 35,
         "TOPIC_ALREADY_EXISTS": 36, "INVALID_PARTITIONS": 37, "INVALID_REPLICATION_FACTOR": 38, "INVALID_REPLICA_ASSIGNMENT": 39,
         "INVALID_CONFIG": 40, "INVALID_REQUEST": 42, "OUT_OF_ORDER_SEQUENCE_NUMBER": 45, "INVALID_PRODUCER_EPOCH": 47,
         "FETCH_SESSION_ID_NOT_FOUND": 70, "INVALID_FETCH_SESSION_EPOCH": 71, "UNKNOWN_LEADER_EPOCH": 75,
         "UNSUPPORTED_COMPRESSION_TYPE": 76, "INVALID_RECORD": 87, "UNKNOWN_TOPIC_ID": 100, "MISMATCHED_ENDPOINT_TYPE": 114,
         "UNSUPPORTED_ENDPOINT_TYPE": 115}


def produce(side):
    # The records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
    side.create("produce", 2, retention_ms=-1)
    side.create("narrow", max_message_bytes=1_000, retention_ms=-1)
    side.create("compact", cleanup_policy="compact")
    side.create("sparse", retention_ms=-1)
    side.create("claimed", retention_ms=-1)
    side.create("strict", message_timestamp_before_max_ms=50_000)
    side.create("append-time", message_timestamp_type="LogAppendTime")
    now = int(time.time() * 1000)
    good = batch([b"one", b"two", b"three"])
    for v in side.versions("Produce"):
        def case(name, expected, hint, records, acks=-1, partition=0, v=v):
            answer = side.produce(hint, records, v, acks, partition)
            return f"Produce v{v}: {name}", answer, expected if expected is None else codes(*expected)
        missing = "UNKNOWN_TOPIC_ID" if v >= 13 else "UNKNOWN_TOPIC_OR_PARTITION"
        for acks in (1, -1):
            yield case(f"a good batch, acks={acks}", ["NONE"], "produce", good, acks)
        yield case("a good gzip batch", ["NONE"], "produce", batch([b"x" * 100] * 3, attributes=1))
        yield case("log append time", ["NONE"], "append-time", good)
        yield case("a wrong checksum", ["CORRUPT_MESSAGE"], "produce", batch([b"x"], crc=1))
        for magic in (0, 1, 3, -1):
            yield case(f"a batch that says magic {magic}", None, "produce", batch([b"x"], magic=magic))
        yield case("too large for the topic", ["MESSAGE_TOO_LARGE"], "narrow", batch([bytes(2_000)]))
        yield case("an unknown topic", [missing], "nowhere", good)
        yield case("an unknown partition", ["UNKNOWN_TOPIC_OR_PARTITION"], "produce", good, partition=5)
        for acks in (2, -2):
            yield case(f"acks={acks}", ["INVALID_REQUIRED_ACKS"], "produce", good, acks)
        for kind in (5, 6, 7):
            yield case(f"unknown compression type {kind}", None, "produce", batch([b"x"], attributes=kind))
        if v < 7:
            yield case("zstd before version 7", ["UNSUPPORTED_COMPRESSION_TYPE"], "produce", batch([b"x"], attributes=4))
        yield case("gzip that is none", None, "produce", batch([b"x"], attributes=1, payload=b"not gzip at all"))
        for kind, codec in ((2, "snappy"), (3, "lz4"), (4, "zstd")):
            yield case(f"{codec} that is none", None, "produce", batch([b"x"], attributes=kind, payload=b"no codec's work at all"))
        yield case("a gzip batch with a count above the records", None, "produce", batch([b"x"], attributes=1, count=9))
        yield case("a gzip batch with a count below the records", None, "produce", batch([b"x", b"y"], attributes=1, count=1))
        for attributes in (0, 1):
            yield case(f"bytes behind the last record, attributes {attributes}", None, "produce", batch([b"x"], attributes=attributes, stray=b"stray"))
            yield case(f"a largest timestamp that no record has, attributes {attributes}", ["NONE"], "produce",
                       batch([b"x"], 1_600_000_000_000, attributes=attributes, latest=1_600_000_009_999))
            yield case(f"offset deltas that are not 0, 1, 2, attributes {attributes}", None, "sparse", batch([b"x", b"y"], attributes=attributes, deltas=[0, 5]))
        for hint in ("claimed", "append-time"):
            yield case(f"the broker's timestamp type in {hint}", None, hint, batch([b"x"], attributes=8))
        yield case("a timestamp too old for the topic", ["INVALID_TIMESTAMP"], "strict", batch([b"x", b"y"], now - 100_000))
        yield case("no timestamp", ["NONE"], "strict", batch([b"x"], -1))
        yield case("no records (0 bytes)", None, "produce", b"")
        yield case("a batch of 0 records", None, "produce", batch([]))
        yield case("a count above the records", None, "produce", batch([b"x"], count=9))
        yield case("a count below the records", None, "produce", batch([b"x", b"y"], count=1))
        yield case("a negative count", None, "produce", batch([b"x"], count=-1))
        yield case("a batch cut short", None, "produce", good[:-4])
        yield case("a head and nothing more", None, "produce", good[:12])
        yield case("two batches", None, "produce", good + good)
        yield case("a key missing in a compacted topic", ["INVALID_RECORD"], "compact", good)
        yield case("a timestamp two hours ahead", ["INVALID_TIMESTAMP"], "produce", batch([b"x"], now + 7_200_000))
        yield case("a control batch", ["INVALID_RECORD"], "produce", batch([b"x"], attributes=0x20))
        yield case("a base offset that is not 0", None, "produce", b"\0\0\0\0\0\0\0\x07" + good[8:])
    for v in (3, 13):
        null = side.topic("produce", v, 13, **({} if v >= 13 else {"Name": side.name("produce")}), PartitionData=[{"Index": 0, "Records": None}])
        side.connection.send(side.protocol.request("Produce", v, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 1_000, "TopicData": [null]}))
        # Kafka does not answer: no need to wait long for that.
        yield f"Produce v{v}: no records (null)", side.decoded("Produce", v, 3), None
        side.reconnect()
    # What was stored, byte for byte.
    for partition in (0, 1):
        yield f"Fetch: what the cases stored in partition {partition}", fetch(side, 12, "produce", 0, partition=partition), None
    yield "Fetch: what was stored of those with the broker's timestamp type", fetch(side, 12, "claimed", 0), None
    frame = side.protocol.request("Produce", 9, {"TransactionalId": None, "Acks": 0, "TimeoutMs": 1_000, "TopicData": [
        {"Name": side.name("produce"), "PartitionData": [{"Index": 0, "Records": good}]}]})
    side.connection.send(frame)
    yield "Produce v9, acks=0: only the next request is answered", side.ask("FindCoordinator", 1, {"Key": "k", "KeyType": 9}), None
    bad = side.protocol.request("Produce", 9, {"TransactionalId": None, "Acks": 0, "TimeoutMs": 1_000, "TopicData": [
        {"Name": side.name("nowhere"), "PartitionData": [{"Index": 0, "Records": good}]}]})
    yield "Produce v9, acks=0, unknown topic: the connection is closed", side.frame(bad, "Produce", 9), CLOSED


def idempotence(side):
    side.create("idempotent", retention_ms=-1)
    told = side.first_producer_id()
    yield "InitProducerId v4 before the sequences", told, codes("NONE")
    producer = told["ProducerId"]

    def case(name, expected, sequence, epoch=0, values=(b"a", b"b"), producer=producer):
        records = batch(list(values), producer=producer, epoch=epoch, sequence=sequence)
        return f"Produce, idempotent: {name}", side.produce("idempotent", records), expected if expected is None else codes(*expected)
    yield case("the first batch", ["NONE"], 0)
    yield case("the first batch again", ["NONE"], 0)
    for i in range(1, 7):
        yield case(f"batch {i}", ["NONE"], 2 * i)
    yield case("the fifth last again", ["NONE"], 4)
    yield case("one older than the last five", None, 0)
    yield case("a gap", ["OUT_OF_ORDER_SEQUENCE_NUMBER"], 20)
    yield case("half of a batch again", None, 12, values=[b"a"])
    yield case("a new epoch that does not begin at 0", None, 5, epoch=1)
    yield case("a new epoch", ["NONE"], 0, epoch=1)
    yield case("the old epoch", ["INVALID_PRODUCER_EPOCH"], 14, epoch=0)
    yield case("a producer never seen, in the middle", None, 7, producer=producer + 1_000_000)
    yield case("a negative epoch", None, 0, epoch=-1)
    yield case("a negative sequence", None, -1)
    yield "Fetch: what the sequences stored", stripped(fetch(side, 12, "idempotent", 0)), codes("NONE")
    yield "DescribeProducers: what the sequences left", producers(side.ask("DescribeProducers", 0, {"Topics": [
        {"Name": side.name("idempotent"), "PartitionIndexes": [0, 9]}]})), None
    yield "DescribeProducers: an unknown topic", side.ask("DescribeProducers", 0, {"Topics": [
        {"Name": side.name("nowhere"), "PartitionIndexes": [0]}]}), codes("UNKNOWN_TOPIC_OR_PARTITION")
    for v in side.versions("InitProducerId"):
        yield f"InitProducerId v{v}: no transactional id", side.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 60_000}), codes("NONE")
        yield f"InitProducerId v{v}: an empty transactional id", side.ask("InitProducerId", v, {"TransactionalId": "", "TransactionTimeoutMs": 1}), codes("INVALID_REQUEST")
        if v >= 3:
            yield f"InitProducerId v{v}: an id without an epoch", side.ask("InitProducerId", v, {
                "TransactionalId": None, "TransactionTimeoutMs": 60_000, "ProducerId": 5, "ProducerEpoch": -1}), codes("INVALID_REQUEST")


def stripped(answer):
    """Each batch without its checksum and its producer id, which is another on each broker."""
    if isinstance(answer, dict):
        for topic in answer["Responses"]:
            for partition in topic["Partitions"]:
                data, parts = partition["Records"] or b"", []
                while len(data) >= 61:
                    size = 12 + int.from_bytes(data[8:12], "big")
                    one = data[:size]
                    crc = "sound" if crc32c(one[21:]) == int.from_bytes(one[17:21], "big") else "broken"
                    parts.append(f"{one[:17].hex()} {crc} {one[21:43].hex()} {one[51:].hex()}")
                    data = data[size:]
                partition["Records"] = parts
    return answer


def producers(answer):
    if isinstance(answer, dict):
        for topic in answer["Topics"]:
            for partition in topic["Partitions"]:
                partition["ActiveProducers"].sort(key=lambda p: p["ProducerId"])
    return answer


def fetch(side, version, hint, offset, partition=0, partition_max=1_000_000, session=(0, -1), wait=(0, 1), forgotten=(), topics=None, **fields):
    names = fields.pop("top", {})
    one = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": partition_max, **fields}
    name = {} if version >= 13 else {"Topic": side.name(hint)}
    body = {"ReplicaId": -1, "MaxWaitMs": wait[0], "MinBytes": wait[1], "MaxBytes": 10_000_000, "SessionId": session[0], "SessionEpoch": session[1],
            "Topics": [side.topic(hint, version, 13, **name, Partitions=[one])] if topics is None else topics, **names}
    if version >= 7:
        body["ForgottenTopicsData"] = [side.topic(h, version, 13, **({} if version >= 13 else {"Topic": side.name(h)}), Partitions=[p]) for h, p in forgotten]
    return side.ask("Fetch", version, body)


def fetching(side):
    side.filled("fetch")
    for v in side.versions("Fetch"):
        def case(name, expected, *where, v=v, **fields):
            return f"Fetch v{v}: {name}", fetch(side, v, *where, **fields), expected if expected is None else codes(*expected)
        yield case("from the start", ["NONE"], "fetch", 0)
        yield case("from the middle of a batch", ["NONE"], "fetch", 7)
        yield case("from a compressed batch", ["NONE"], "fetch", 12)
        yield case("at the end", ["NONE"], "fetch", 20)
        yield case("at the end, waiting", ["NONE"], "fetch", 20, wait=(100, 1))
        yield case("an empty partition", ["NONE"], "fetch", 0, partition=1)
        yield case("beyond the end", None, "fetch", 21)
        yield case("a negative offset", None, "fetch", -5)
        yield case("1 byte at most gives a whole batch", ["NONE"], "fetch", 3, partition_max=1)
        yield case("1 byte at most in all gives a whole batch", ["NONE"], "fetch", 3, top={"MaxBytes": 1})
        yield case("two batches at most", ["NONE"], "fetch", 0, partition_max=300)
        yield case("0 bytes at most", ["NONE"], "fetch", 0, partition_max=0)
        yield case("committed records only", ["NONE"], "fetch", 0, top={"IsolationLevel": 1})
        yield case("an unknown topic", None, "nowhere", 0)
        yield case("an unknown partition", None, "fetch", 0, partition=9)
        if v >= 9:
            yield case("the right leader epoch", ["NONE"], "fetch", 0, CurrentLeaderEpoch=0)
            yield case("a leader epoch of the future", None, "fetch", 0, CurrentLeaderEpoch=5)
        if v >= 12:
            yield case("the right last epoch", ["NONE"], "fetch", 10, CurrentLeaderEpoch=0, LastFetchedEpoch=0)
            yield case("a last epoch of the future", None, "fetch", 10, CurrentLeaderEpoch=0, LastFetchedEpoch=5)
        if v >= 7:
            yield from sessions(side, v)


def sessions(side, v):
    def case(name, answer, expected):
        return f"Fetch v{v}, session: {name}", answer, codes(*expected)
    opened = fetch(side, v, "fetch", 0, session=(0, 0))
    yield case("opened", opened, ["NONE"])
    session = opened["SessionId"] if isinstance(opened, dict) else 0
    yield case("asked again, the same position", fetch(side, v, "fetch", 0, session=(session, 1), topics=[]), ["NONE"])
    yield case("moved to the end, nothing new", fetch(side, v, "fetch", 20, session=(session, 2)), ["NONE"])
    yield case("still nothing", fetch(side, v, "fetch", 0, session=(session, 3), topics=[]), ["NONE"])
    yield case("another partition added", fetch(side, v, "fetch", 0, partition=1, session=(session, 4)), ["NONE"])
    yield case("moved beyond the end", fetch(side, v, "fetch", 99, session=(session, 5)), ["NONE", "OFFSET_OUT_OF_RANGE"])
    yield case("both forgotten", fetch(side, v, "fetch", 0, session=(session, 6), topics=[], forgotten=[("fetch", 0), ("fetch", 1)]), ["NONE"])
    opened = fetch(side, v, "fetch", 20, session=(0, 0))
    yield case("opened anew, for the one whose partitions were all forgotten is gone", opened, ["NONE"])
    session = opened["SessionId"] if isinstance(opened, dict) else 0
    yield case("a wrong epoch", fetch(side, v, "fetch", 0, session=(session, 50), topics=[]), ["INVALID_FETCH_SESSION_EPOCH"])
    yield case("closed", fetch(side, v, "fetch", 0, session=(session, -1), topics=[]), ["NONE"])
    yield case("used after it was closed", fetch(side, v, "fetch", 0, session=(session, 7), topics=[]), ["FETCH_SESSION_ID_NOT_FOUND"])
    yield case("one never opened", fetch(side, v, "fetch", 0, session=(123_456, 1), topics=[]), ["FETCH_SESSION_ID_NOT_FOUND"])


def offsets(side):
    side.filled("offsets")
    for v in side.versions("ListOffsets"):
        def case(name, timestamp, hint="offsets", partition=0, isolation=0, epoch=-1, v=v):
            one = {"PartitionIndex": partition, "CurrentLeaderEpoch": epoch, "Timestamp": timestamp}
            body = {"ReplicaId": -1, "IsolationLevel": isolation, "Topics": [{"Name": side.name(hint), "Partitions": [one]}], "TimeoutMs": 30_000}
            return f"ListOffsets v{v}: {name}", side.ask("ListOffsets", v, body), None
        for special in range(-8, 0):
            yield case(f"the special timestamp {special}", special)
            yield case(f"the special timestamp {special} in an empty partition", special, partition=1)
        for timestamp in (0, 1_000_000, 1_000_001, 1_000_200, 1_000_300, 1_000_301):
            yield case(f"the timestamp {timestamp}", timestamp)
        yield case("committed records only", -1, isolation=1)
        yield case("an unknown topic", -1, "nowhere")
        yield case("an unknown partition", -1, partition=9)
        yield case("a leader epoch of the future", -1, epoch=9)
    for v in side.versions("OffsetForLeaderEpoch"):
        for name, asked, current, hint, partition in (("epoch 0", 0, 0, "offsets", 0), ("an epoch of the future", 7, -1, "offsets", 0),
                                                      ("no epoch", -1, -1, "offsets", 0), ("an empty partition", 0, -1, "offsets", 1),
                                                      ("a leader epoch of the future", 0, 9, "offsets", 0),
                                                      ("an unknown partition", 0, -1, "offsets", 9), ("an unknown topic", 0, -1, "nowhere", 0)):
            one = {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": asked}
            yield f"OffsetForLeaderEpoch v{v}: {name}", side.ask("OffsetForLeaderEpoch", v, {
                "ReplicaId": -1, "Topics": [{"Topic": side.name(hint), "Partitions": [one]}]}), None
    for v in side.versions("DeleteRecords"):
        for name, offset, hint, partition in (("beyond the end", 21, "offsets", 0), ("a negative offset", -2, "offsets", 0), ("nothing", 0, "offsets", 0),
                                              ("an unknown partition", 0, "offsets", 9), ("an unknown topic", 0, "nowhere", 0),
                                              ("some", 3 + v, "offsets", 0)):
            yield f"DeleteRecords v{v}: {name}", side.ask("DeleteRecords", v, {"TimeoutMs": 30_000, "Topics": [
                {"Name": side.name(hint), "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}]}), None
        yield f"Fetch after DeleteRecords v{v}: below the beginning", fetch(side, 12, "offsets", 2), codes("NONE", "OFFSET_OUT_OF_RANGE")
        yield f"Fetch after DeleteRecords v{v}: within the batch", fetch(side, 12, "offsets", 3 + v), codes("NONE")
    yield "DeleteRecords v2: all, by -1", side.ask("DeleteRecords", 2, {"TimeoutMs": 30_000, "Topics": [
        {"Name": side.name("offsets"), "Partitions": [{"PartitionIndex": 0, "Offset": -1}]}]}), codes("NONE")
