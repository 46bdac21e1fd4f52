"""clients.py BOOTSTRAP PEER: what librdkafka, by way of confluent-kafka, expects of Kafka."""
import time

import confluent_kafka
from peer import BOOTSTRAP, KEPT, admin, consumer, numbered, poll, read, refused, result, send, topic
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewPartitions, NewTopic, OffsetSpec, ResourceType
import groups  # after peer, who knows where statements are
from statements import COMPRESSIONS, PATIENCE_S, end, eventually, expect, name, noise, states

for compression in COMPRESSIONS:
    @states(f"{compression}: keys, values, headers, timestamps and order come back as sent")
    def contents():
        of = topic(compression, **KEPT)
        sent = []
        for i in range(200):
            # The same name several times, and an order that is not the alphabet's.
            headers = [("z" if h % 2 == 0 else "a", None if h == 2 else f"h{i}{h}".encode()) for h in range(i % 4)]
            sent.append({"topic": of, "partition": 0, "timestamp": 1_600_000_000_000 + i * 37 % 101, "headers": headers,
                         "key": None if i % 5 == 0 else b"" if i % 7 == 0 else f"key{i}".encode(),
                         "value": None if i % 11 == 0 else b"" if i % 13 == 0 else noise(i * 10) + bytes(i * 10)})
        send(sent, compression_type=compression, linger_ms=50)
        for i, (theirs, ours) in enumerate(zip(sent, read(of, 200))):
            expect("offset", i, ours.offset())
            expect(f"key of {i}", theirs["key"], ours.key())
            expect(f"value of {i}", theirs["value"], ours.value())
            expect(f"headers of {i}", theirs["headers"], ours.headers() or [])
            expect(f"timestamp of {i}", (TIMESTAMP_CREATE_TIME, theirs["timestamp"]), ours.timestamp())

    @states(f"{compression}: a record of 1 MB comes back as sent")
    def megabyte():
        of = topic(compression)
        value = noise(1_000_000)
        send([{"topic": of, "value": value}], compression_type=compression, message_max_bytes=2_000_000)
        expect("the value is the same", True, read(of, 1)[0].value() == value)

for settings in ({"acks": 1}, {"acks": "all"}, {"enable_idempotence": True}, {"enable_idempotence": True, "max_in_flight": 5}):
    shown = ", ".join(f"{k.replace('_', '.')}={v}" for k, v in settings.items())

    @states(f"{shown}: offsets are told and consecutive, and records come in order")
    def acknowledged():
        of = topic("acks")
        told = send(numbered(of, 2_000), batch_num_messages=20, **settings)
        expect("told offsets", list(range(2_000)), [m.offset() for m in told])
        expect("values", [f"v{i}".encode() for i in range(2_000)], [m.value() for m in read(of, 2_000)])


@states("acks=0: records are stored in order")
def unacknowledged():
    of = topic("acks")
    send(numbered(of, 100), acks=0)
    expect("values", [f"v{i}".encode() for i in range(100)], [m.value() for m in read(of, 100)])


@states("a record above max.message.bytes is refused: MSG_SIZE_TOO_LARGE")
def too_large():
    of = topic("large")
    refused("MSG_SIZE_TOO_LARGE", lambda: send([{"topic": of, "value": noise(1_100_000)}], message_max_bytes=2_000_000))
    expect("offset of the next", 0, send([{"topic": of, "value": b"small"}])[0].offset())
    narrow = topic("large", max_message_bytes=1_000)
    refused("MSG_SIZE_TOO_LARGE", lambda: send([{"topic": narrow, "value": noise(1_000)}]))
    expect("offset", 0, send([{"topic": narrow, "value": noise(900)}])[0].offset())


@states("LogAppendTime: the broker's clock replaces the record's timestamp")
def append_time():
    of = topic("append-time", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    for compression in COMPRESSIONS:
        send([{"topic": of, "value": "v", "timestamp": 1_000}], compression_type=compression)
    for message in read(of, len(COMPRESSIONS)):
        kind, timestamp = message.timestamp()
        expect("type", TIMESTAMP_LOG_APPEND_TIME, kind)
        expect("timestamp is of now", True, before <= timestamp <= time.time() * 1000)


@states("a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP")
def ahead():
    of = topic("ahead")
    refused("INVALID_TIMESTAMP", lambda: send([{"topic": of, "value": "v", "timestamp": int(time.time() * 1000) + 7_200_000}]))


@states("a compacted topic refuses a record without key: INVALID_RECORD")
def keyless():
    of = topic("compact", cleanup_policy="compact")
    refused("INVALID_RECORD", lambda: send([{"topic": of, "value": "v"}]))
    expect("offset", 0, send([{"topic": of, "key": "k", "value": None}])[0].offset())


@states("a topic's own compression.type: records of every compression come back as sent")
def stored():
    for kind in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        of = topic("stored", compression_type=kind)
        for compression in COMPRESSIONS:
            send([{"topic": of, "key": compression, "value": f"v{i}"} for i in range(20)], compression_type=compression, linger_ms=50)
        expect(f"values of {kind}", [(c.encode(), f"v{i}".encode()) for c in COMPRESSIONS for i in range(20)],
               [(m.key(), m.value()) for m in read(of, 100)])


@states("100 partitions: each keeps its order, and nothing is lost or doubled")
def hundred():
    of = topic("hundred", 100)
    send([{"topic": of, "partition": i % 100, "value": str(i)} for i in range(3_000)], enable_idempotence=True, compression_type="zstd")
    seen = [[] for _ in range(100)]
    for message in read(of, 3_000, partitions=100):
        expect("offset", len(seen[message.partition()]), message.offset())
        seen[message.partition()].append(int(message.value()))
    expect("values", [list(range(p, 3_000, 100)) for p in range(100)], seen)


@states("producing to a topic that does not exist creates it")
def sprung():
    of = name("librdkafka", "sprung")
    expect("offset", 0, send([{"topic": of, "value": "v"}])[0].offset())
    expect("value", b"v", read(of, 1)[0].value())


@states("seek: reading goes on at exactly that offset, within a batch too")
def seek():
    of = topic("seek")
    send(numbered(of, 100), linger_ms=100, compression_type="gzip")
    for offset in (57, 3, 99, 0):
        expect("first", (offset, f"v{offset}".encode()), (lambda m: (m.offset(), m.value()))(read(of, 1, offset=offset)[0]))
    reader = consumer()
    reader.assign([TopicPartition(of, 0, 10)])
    expect("offset", 10, poll(reader, 1)[0].offset())
    reader.seek(TopicPartition(of, 0, 80))
    expect("offset", 80, poll(reader, 1)[0].offset())
    expect("position", 81, reader.position([TopicPartition(of, 0)])[0].offset)
    reader.close()


@states("watermarks, and offsets for times")
def offsets():
    of = topic("times", 2, **KEPT)
    send([{"topic": of, "partition": 0, "value": f"v{i}", "timestamp": 10_000 + 100 * i} for i in range(30)], linger_ms=50)
    reader = consumer()
    expect("watermarks", (0, 30), reader.get_watermark_offsets(TopicPartition(of, 0), timeout=PATIENCE_S))
    expect("watermarks when empty", (0, 0), reader.get_watermark_offsets(TopicPartition(of, 1), timeout=PATIENCE_S))
    for timestamp, offset in ((0, 0), (10_000, 0), (10_001, 1), (10_700, 7), (12_900, 29), (12_901, OFFSET_END)):
        (found,) = reader.offsets_for_times([TopicPartition(of, 0, timestamp)], timeout=PATIENCE_S)
        expect(f"offset for {timestamp}", (None, offset), (found.error, found.offset))
    reader.close()


@states("the admin's list of offsets: earliest, latest, greatest timestamp, by time")
def listed():
    of = topic("list", **KEPT)
    stamps = [5_000, 9_000, 7_000, 8_000]
    send([{"topic": of, "partition": 0, "value": "v", "timestamp": t} for t in stamps], linger_ms=100)
    for spec, offset in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 4), (OffsetSpec.max_timestamp(), 1), (OffsetSpec.for_timestamp(8_500), 1)):
        for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
            expect("offset", offset, result(admin.list_offsets({TopicPartition(of, 0): spec}, isolation_level=level)).offset)


@states("out of range: auto.offset.reset=error is told, earliest goes to the beginning")
def out_of_range():
    of = topic("range")
    send(numbered(of, 10))
    refused("_AUTO_OFFSET_RESET", lambda: read(of, 1, offset=1_000, auto_offset_reset="error"))
    expect("first offset", 0, read(of, 1, offset=1_000, auto_offset_reset="earliest")[0].offset())


@states("read_committed on plain records: the same records")
def committed():
    of = topic("committed")
    send(numbered(of, 50))
    expect("last", 49, read(of, 50, isolation_level="read_committed")[-1].offset())


@states("the end of a partition is told")
def partition_end():
    of = topic("eof")
    send(numbered(of, 3))
    reader = consumer(enable_partition_eof=True)
    reader.assign([TopicPartition(of, 0, OFFSET_BEGINNING)])
    poll(reader, 3)
    deadline = time.monotonic() + PATIENCE_S
    message = None
    while message is None and time.monotonic() < deadline:
        message = reader.poll(0.2)
    expect("error", "_PARTITION_EOF", message.error().name())
    reader.close()


@states("long polling: a record produced while a consumer waits arrives well before fetch.wait.max.ms")
def long_poll():
    of = topic("long-poll")
    reader = consumer(fetch_wait_max_ms=20_000, socket_timeout_ms=60_000)
    reader.assign([TopicPartition(of, 0, OFFSET_BEGINNING)])
    expect("nothing yet", None, reader.poll(2))
    for i in range(3):
        send([{"topic": of, "value": f"v{i}"}])
        start = time.monotonic()
        expect("value", f"v{i}".encode(), poll(reader, 1)[0].value())
        expect("prompt", True, time.monotonic() - start < 5)
    reader.close()


@states("fetch.min.bytes: a smaller answer is held back until fetch.wait.max.ms, and then given")
def min_bytes():
    of = topic("min-bytes")
    send(numbered(of, 3))
    start = time.monotonic()
    read(of, 3, fetch_min_bytes=1_000_000, fetch_wait_max_ms=3_000)
    expect("waited", True, time.monotonic() - start >= 2.9)


@states("a batch larger than every fetch limit is delivered all the same")
def tight():
    of = topic("tight", 3)
    send([{"topic": of, "partition": p, "value": noise(50_000)} for p in range(3)])
    got = read(of, 3, partitions=3, message_max_bytes=1_000, max_partition_fetch_bytes=1, fetch_max_bytes=1_000)
    expect("partitions", {0, 1, 2}, {m.partition() for m in got})


@states("deleted records are gone, -1 deletes all, and beyond the end is refused: OFFSET_OUT_OF_RANGE")
def delete_records():
    of = topic("delete")
    send(numbered(of, 20))
    expect("low watermark", 6, result(admin.delete_records([TopicPartition(of, 0, 6)])).low_watermark)
    expect("first that is left", 6, read(of, 1, offset=0)[0].offset())
    refused("OFFSET_OUT_OF_RANGE", lambda: result(admin.delete_records([TopicPartition(of, 0, 21)])))
    expect("low watermark", 20, result(admin.delete_records([TopicPartition(of, 0, OFFSET_END)])).low_watermark)


@states("topics: created, listed with their partitions, described, grown, deleted")
def topics():
    of = topic("topics", 3)
    listed = admin.list_topics(of, timeout=PATIENCE_S).topics[of]
    expect("partitions", [0, 1, 2], sorted(listed.partitions))
    expect("replicas", [listed.partitions[0].leader], listed.partitions[0].replicas)
    described = result(admin.describe_topics(confluent_kafka.TopicCollection([of])))
    expect("described", (of, 3, False), (described.name, len(described.partitions), described.is_internal))
    result(admin.create_partitions([NewPartitions(of, 5)]))
    eventually("five partitions", lambda: len(admin.list_topics(of, timeout=PATIENCE_S).topics[of].partitions) == 5)
    refused("INVALID_PARTITIONS", lambda: result(admin.create_partitions([NewPartitions(of, 4)])))
    result(admin.delete_topics([of]))
    eventually("it is gone", lambda: of not in admin.list_topics(timeout=PATIENCE_S).topics)
    refused("UNKNOWN_TOPIC_OR_PART", lambda: result(admin.delete_topics([of])))


@states("bad topics are refused: existing, bad name, too many replicas, bad setting")
def bad_topics():
    of = topic("exists")
    refused("TOPIC_ALREADY_EXISTS", lambda: result(admin.create_topics([NewTopic(of, 1, 1)])))
    refused("TOPIC_EXCEPTION", lambda: result(admin.create_topics([NewTopic("bad name", 1, 1)])))
    refused("INVALID_REPLICATION_FACTOR", lambda: result(admin.create_topics([NewTopic(of + "rf", 1, 4)])))
    refused("INVALID_CONFIG", lambda: result(admin.create_topics([NewTopic(of + "c", 1, 1, config={"retention.ms": "soon"})])))
    refused("INVALID_CONFIG", lambda: result(admin.create_topics([NewTopic(of + "c", 1, 1, config={"no.such.setting": "1"})])))
    result(admin.create_topics([NewTopic(of + "v", 1, 1)], validate_only=True))
    expect("listed", False, of + "v" in admin.list_topics(timeout=PATIENCE_S).topics)


@states("settings: described, set, appended to, subtracted from, deleted; a bad value is refused")
def settings():
    of = topic("settings", retention_ms=4711)

    def entry(key):
        return result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, of)]))[key]

    def alter(key, value, operation):
        change = ConfigEntry(key, value, incremental_operation=operation)
        return result(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, of, incremental_configs=[change])]))

    expect("retention.ms", ("4711", ConfigSource.DYNAMIC_TOPIC_CONFIG.value), (entry("retention.ms").value, entry("retention.ms").source))
    expect("default", ("1048588", ConfigSource.DEFAULT_CONFIG.value), (entry("max.message.bytes").value, entry("max.message.bytes").source))
    alter("retention.ms", "99", AlterConfigOpType.SET)
    eventually("set", lambda: entry("retention.ms").value == "99")
    alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    eventually("appended", lambda: entry("cleanup.policy").value == "delete,compact")
    alter("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)
    eventually("subtracted", lambda: entry("cleanup.policy").value == "compact")
    alter("retention.ms", None, AlterConfigOpType.DELETE)
    eventually("deleted", lambda: entry("retention.ms").value == "604800000")
    refused("INVALID_CONFIG", lambda: alter("retention.ms", "soon", AlterConfigOpType.SET))


@states("the cluster is described: its id, its node, its controller")
def cluster():
    described = admin.describe_cluster().result(PATIENCE_S)
    expect("cluster id", 22, len(described.cluster_id))
    expect("address", BOOTSTRAP, f"{described.nodes[0].host}:{described.nodes[0].port}")
    expect("controller", described.nodes[0].id, described.controller.id)


groups.run(admin, topic, send, consumer, poll, result, refused)
end()
