"""clients.py BOOTSTRAP PEER: what kafka-python expects of Kafka."""
import logging
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import groups
import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from statements import COMPRESSIONS, PATIENCE_S, end, eventually, expect, name, noise, states

BOOTSTRAP, PEER = sys.argv[1:3]
logging.basicConfig(level=logging.ERROR)
print(f"# kafka-python {kafka.__version__} against {PEER}")
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def refused(kind, body):
    try:
        body()
    except errors.KafkaError as refusal:
        expect("the refusal", kind.__name__, type(refusal).__name__)
        return
    raise AssertionError(f"expected {kind.__name__}, but it was accepted")


# For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
KEPT = {"retention_ms": -1}


def topic(hint, partitions=1, **config):
    created = name("kafka-python", hint)
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    admin.create_topics({created: {"num_partitions": partitions, "replication_factor": 1, "configs": config}})

    def led():
        # Kafka's controller answers before the broker leads the partitions.
        try:
            ends = admin.list_partition_offsets({TopicPartition(created, p): OffsetSpec.LATEST for p in range(partitions)})
            return all(e.offset == 0 for e in ends.values())
        except errors.KafkaError:
            return False
    eventually("the topic is led", led)
    return created


def send(records, **settings):
    """Sends dicts of KafkaProducer.send's arguments; gives what was told of each, in order."""
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)
    try:
        sent = [producer.send(**record) for record in records]
        producer.flush(PATIENCE_S)
        return [future.get(PATIENCE_S) for future in sent]
    finally:
        producer.close(5)


def consumer(*partitions, **settings):
    reader = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, **{"auto_offset_reset": "earliest", **settings})
    reader.assign(list(partitions))
    return reader


def poll(reader, count):
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"only {len(got)} of {count} records came within {PATIENCE_S} s")
        for records in reader.poll(timeout_ms=200).values():
            got.extend(records)
    return got


def read(of, count, partitions=1, offset=None, **settings):
    reader = consumer(*[TopicPartition(of, p) for p in range(partitions)], **settings)
    try:
        for partition in reader.assignment():
            reader.seek(partition, offset) if offset is not None else reader.seek_to_beginning(partition)
        return poll(reader, count)
    finally:
        reader.close()


def numbered(of, count):
    return [{"topic": of, "partition": 0, "key": b"k%d" % i, "value": b"v%d" % i} for i in range(count)]


for compression in COMPRESSIONS:
    kind = None if compression == "none" else compression

    @states(f"{compression}: keys, values, headers, timestamps and order come back as sent")
    def contents():
        of = topic(compression, **KEPT)
        sent = []
        for i in range(200):
            # The same name several times, and an order that is not the alphabet's.
            headers = [("z" if h % 2 == 0 else "a", f"h{i}{h}".encode()) for h in range(i % 4)]
            sent.append({"topic": of, "partition": 0, "timestamp_ms": 1_600_000_000_000 + i * 37 % 101, "headers": headers,
                         "key": None if i % 5 == 1 else b"" if i % 7 == 0 else b"key%d" % i,
                         "value": None if i % 5 == 2 else b"" if i % 13 == 0 else noise(i * 10) + bytes(i * 10)})
        send(sent, compression_type=kind, linger_ms=50)
        for i, (theirs, ours) in enumerate(zip(sent, read(of, 200))):
            expect("offset", i, ours.offset)
            expect(f"key of {i}", theirs["key"], ours.key)
            expect(f"value of {i}", theirs["value"], ours.value)
            expect(f"headers of {i}", theirs["headers"], list(ours.headers))
            expect(f"timestamp of {i}", (0, theirs["timestamp_ms"]), (ours.timestamp_type, ours.timestamp))

    @states(f"{compression}: a record of 1 MB comes back as sent")
    def megabyte():
        of = topic(compression)
        value = noise(1_000_000)
        send([{"topic": of, "value": value}], compression_type=kind, max_request_size=2_000_000)
        expect("the value is the same", True, read(of, 1)[0].value == value)

for settings in ({"acks": 1, "enable_idempotence": False}, {"acks": "all", "enable_idempotence": False}, {"enable_idempotence": True}):
    @states(", ".join(f"{k}={v}" for k, v in settings.items()) + ": offsets are told and consecutive, and records come in order")
    def acknowledged():
        of = topic("acks")
        told = send(numbered(of, 1_000), batch_size=500, **settings)
        expect("told offsets", list(range(1_000)), [m.offset for m in told])
        expect("values", [b"v%d" % i for i in range(1_000)], [m.value for m in read(of, 1_000)])


@states("acks=0: records are stored in order")
def unacknowledged():
    of = topic("acks")
    send(numbered(of, 100), acks=0, enable_idempotence=False)
    expect("values", [b"v%d" % i for i in range(100)], [m.value for m in read(of, 100)])


@states("a record above max.message.bytes is refused: MessageSizeTooLargeError")
def too_large():
    of = topic("large")
    refused(errors.MessageSizeTooLargeError, lambda: send([{"topic": of, "value": noise(1_100_000)}], max_request_size=2_000_000))
    expect("offset of the next", 0, send([{"topic": of, "value": b"small"}])[0].offset)


@states("LogAppendTime: the broker's clock replaces the record's timestamp, and is told")
def append_time():
    of = topic("append-time", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    for compression in COMPRESSIONS:
        (told,) = send([{"topic": of, "value": b"v", "timestamp_ms": 1_000}], compression_type=None if compression == "none" else compression)
        expect("told timestamp is of now", True, before <= told.timestamp <= time.time() * 1000)
    for message in read(of, len(COMPRESSIONS)):
        expect("type", 1, message.timestamp_type)
        expect("timestamp is of now", True, before <= message.timestamp <= time.time() * 1000)


@states("a timestamp two hours ahead is refused by default: InvalidTimestampError")
def ahead():
    of = topic("ahead")
    refused(errors.InvalidTimestampError,
            lambda: send([{"topic": of, "value": b"v", "timestamp_ms": int(time.time() * 1000) + 7_200_000}], retries=0, enable_idempotence=False))


@states("a topic's own compression.type: records of every compression come back as sent")
def stored():
    for kind in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        of = topic("stored", compression_type=kind)
        for compression in COMPRESSIONS:
            send([{"topic": of, "key": compression.encode(), "value": b"v%d" % i} for i in range(20)],
                 compression_type=None if compression == "none" else compression, linger_ms=50)
        expect(f"values of {kind}", [(c.encode(), b"v%d" % i) for c in COMPRESSIONS for i in range(20)],
               [(m.key, m.value) for m in read(of, 100)])


@states("100 partitions: each keeps its order, and nothing is lost or doubled")
def hundred():
    of = topic("hundred", 100)
    send([{"topic": of, "partition": i % 100, "value": b"%d" % i} for i in range(3_000)], compression_type="lz4")
    seen = [[] for _ in range(100)]
    for message in read(of, 3_000, partitions=100):
        expect("offset", len(seen[message.partition]), message.offset)
        seen[message.partition].append(int(message.value))
    expect("values", [list(range(p, 3_000, 100)) for p in range(100)], seen)


@states("producing to a topic that does not exist creates it")
def sprung():
    of = name("kafka-python", "sprung")
    expect("offset", 0, send([{"topic": of, "value": b"v"}])[0].offset)
    expect("value", b"v", read(of, 1)[0].value)


@states("seek: reading goes on at exactly that offset, within a batch too, and positions follow")
def seek():
    of = topic("seek")
    send(numbered(of, 100), linger_ms=100, compression_type="gzip")
    partition = TopicPartition(of, 0)
    reader = consumer(partition)
    for offset in (57, 3, 99, 0):
        reader.seek(partition, offset)
        first = poll(reader, 1)[0]
        expect("first", (offset, b"v%d" % offset), (first.offset, first.value))
    reader.seek_to_end(partition)
    expect("position at the end", 100, reader.position(partition))
    reader.seek_to_beginning(partition)
    expect("position at the beginning", 0, reader.position(partition))
    reader.close()


@states("beginning, end, and offsets for times")
def offsets():
    of = topic("times", 2, **KEPT)
    send([{"topic": of, "partition": 0, "value": b"v%d" % i, "timestamp_ms": 10_000 + 100 * i} for i in range(30)], linger_ms=50)
    filled, empty = TopicPartition(of, 0), TopicPartition(of, 1)
    reader = consumer(filled, empty)
    expect("beginning", {filled: 0, empty: 0}, reader.beginning_offsets([filled, empty]))
    expect("end", {filled: 30, empty: 0}, reader.end_offsets([filled, empty]))
    for timestamp, offset in ((0, 0), (10_000, 0), (10_001, 1), (10_700, 7), (12_900, 29)):
        found = reader.offsets_for_times({filled: timestamp})[filled]
        expect(f"for {timestamp}", (offset, 10_000 + 100 * offset), (found.offset, found.timestamp))
    expect("after the last", None, reader.offsets_for_times({filled: 12_901})[filled])
    reader.close()


@states("the admin's list of offsets: earliest, latest, greatest timestamp, by time")
def listed():
    of = topic("list", **KEPT)
    send([{"topic": of, "partition": 0, "value": b"v", "timestamp_ms": t} for t in (5_000, 9_000, 7_000, 8_000)], linger_ms=100)
    partition = TopicPartition(of, 0)
    for spec, offset in ((OffsetSpec.EARLIEST, 0), (OffsetSpec.LATEST, 4), (OffsetSpec.MAX_TIMESTAMP, 1), (8_500, 1)):
        expect(f"offset for {spec}", offset, admin.list_partition_offsets({partition: spec})[partition].offset)


@states("out of range: auto_offset_reset=none is told, earliest goes to the beginning")
def out_of_range():
    of = topic("range")
    send(numbered(of, 10))
    refused(errors.OffsetOutOfRangeError, lambda: read(of, 1, offset=1_000, auto_offset_reset="none"))
    expect("first offset", 0, read(of, 1, offset=1_000, auto_offset_reset="earliest")[0].offset)


@states("read_committed on plain records: the same records")
def committed():
    of = topic("committed")
    send(numbered(of, 50))
    expect("last", 49, read(of, 50, isolation_level="read_committed")[-1].offset)


@states("long polling: a record produced while a consumer waits arrives well before fetch_max_wait_ms")
def long_poll():
    of = topic("long-poll")
    reader = consumer(TopicPartition(of, 0), fetch_max_wait_ms=20_000, request_timeout_ms=60_000)
    expect("nothing yet", {}, reader.poll(timeout_ms=2_000))
    for i in range(3):
        send([{"topic": of, "value": b"v%d" % i}])
        start = time.monotonic()
        expect("value", b"v%d" % i, poll(reader, 1)[0].value)
        expect("prompt", True, time.monotonic() - start < 5)
    reader.close()


@states("fetch_min_bytes: a smaller answer is held back until fetch_max_wait_ms, and then given")
def min_bytes():
    of = topic("min-bytes")
    send(numbered(of, 3))
    start = time.monotonic()
    read(of, 3, fetch_min_bytes=1_000_000, fetch_max_wait_ms=3_000)
    expect("waited", True, time.monotonic() - start >= 2.9)


@states("a batch larger than every fetch limit is delivered all the same")
def tight():
    of = topic("tight", 3)
    send([{"topic": of, "partition": p, "value": noise(50_000)} for p in range(3)])
    got = read(of, 3, partitions=3, max_partition_fetch_bytes=1, fetch_max_bytes=1)
    expect("partitions", {0, 1, 2}, {m.partition for m in got})


@states("deleted records are gone, -1 deletes all, and beyond the end is refused: OffsetOutOfRangeError")
def delete_records():
    of = topic("delete")
    send(numbered(of, 20))
    partition = TopicPartition(of, 0)

    def low(before):
        told = admin.delete_records({partition: before})[partition]
        return told["low_watermark"] if isinstance(told, dict) else told.low_watermark
    expect("low watermark", 6, low(6))
    expect("first that is left", 6, read(of, 1, offset=0)[0].offset)
    refused(errors.OffsetOutOfRangeError, lambda: low(21))
    expect("low watermark", 20, low(-1))


@states("topics: created, described, grown, deleted")
def topics():
    of = topic("topics", 3)
    (described,) = admin.describe_topics([of])
    expect("partitions", [0, 1, 2], sorted(p["partition_index"] for p in described["partitions"]))
    expect("listed", True, of in admin.list_topics())
    admin.create_partitions({of: 5})
    eventually("five partitions", lambda: len(admin.describe_topics([of])[0]["partitions"]) == 5)
    refused(errors.InvalidPartitionsError, lambda: admin.create_partitions({of: 4}))
    admin.delete_topics([of])
    eventually("it is gone", lambda: of not in admin.list_topics())
    refused(errors.UnknownTopicOrPartitionError, lambda: admin.delete_topics([of]))


@states("bad topics are refused: existing, bad name, too many replicas, bad setting")
def bad_topics():
    of = topic("exists")

    def create(new, replicas=1, **configs):
        admin.create_topics({new: {"num_partitions": 1, "replication_factor": replicas, "configs": configs}})
    refused(errors.TopicAlreadyExistsError, lambda: create(of))
    refused(errors.InvalidTopicError, lambda: create("bad name"))
    refused(errors.InvalidReplicationFactorError, lambda: create(of + "rf", replicas=4))
    refused(errors.InvalidConfigurationError, lambda: create(of + "c", **{"retention.ms": "soon"}))
    admin.create_topics([of + "v"], validate_only=True)
    expect("listed", False, of + "v" in admin.list_topics())


@states("settings: described, set, appended to, deleted; a bad value is refused")
def settings():
    of = topic("settings", retention_ms=4711)

    def value(key):
        told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, of)], config_filter="all")
        return told["topic"][of][key]["value"]

    def alter(key, op):
        return admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, of, configs={key: op})])
    expect("retention.ms", "4711", value("retention.ms"))
    expect("max.message.bytes", "1048588", value("max.message.bytes"))
    alter("retention.ms", ("SET", "99"))
    eventually("set", lambda: value("retention.ms") == "99")
    alter("cleanup.policy", ("APPEND", "compact"))
    eventually("appended", lambda: value("cleanup.policy") == "delete,compact")
    alter("retention.ms", ("DELETE", None))
    eventually("deleted", lambda: value("retention.ms") == "604800000")
    # This one call does not raise: it hands back the refusal.
    expect("the refusal", True, "InvalidConfigurationError" in str(alter("retention.ms", ("SET", "soon"))))


@states("the cluster and its log dirs are described")
def cluster():
    described = admin.describe_cluster()
    expect("cluster id", 22, len(described["cluster_id"]))
    (broker,) = described["brokers"]
    expect("address", BOOTSTRAP, f"{broker['host']}:{broker['port']}")
    of = topic("size")
    send([{"topic": of, "value": noise(300_000)}])
    (told,) = admin.describe_log_dirs([of])
    expect("the topic is in a log dir", True, of in str(told))


groups.run(BOOTSTRAP, admin, topic, send, refused)
end()
