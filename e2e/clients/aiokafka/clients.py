"""clients.py BOOTSTRAP PEER: what aiokafka expects of Kafka."""
import asyncio
import time

from peer import BOOTSTRAP, KEPT, admin, consumer, create, eventually, loop, numbered, poll, read, refused, send, states, topic
import groups  # after peer, who knows where statements are
from aiokafka import AIOKafkaProducer, TopicPartition, errors
from aiokafka.admin import NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from statements import COMPRESSIONS, PATIENCE_S, end, expect, name, noise

for compression in COMPRESSIONS:
    kind = None if compression == "none" else compression

    @states(f"{compression}: keys, values, headers, timestamps and order come back as sent")
    async def contents():
        of = await topic(compression, **KEPT)
        sent = []
        for i in range(200):
            # The same name several times, and an order that is not the alphabet's.
            headers = [("z" if h % 2 == 0 else "a", f"h{i}{h}".encode()) for h in range(i % 4)]
            sent.append({"topic": of, "partition": 0, "timestamp_ms": 1_600_000_000_000 + i * 37 % 101, "headers": headers,
                         "key": None if i % 5 == 1 else b"" if i % 7 == 0 else b"key%d" % i,
                         "value": None if i % 5 == 2 else b"" if i % 13 == 0 else noise(i * 10) + bytes(i * 10)})
        await send(sent, compression_type=kind, linger_ms=50)
        for i, (theirs, ours) in enumerate(zip(sent, await read(of, 200))):
            expect("offset", i, ours.offset)
            expect(f"key of {i}", theirs["key"], ours.key)
            expect(f"value of {i}", theirs["value"], ours.value)
            expect(f"headers of {i}", theirs["headers"], list(ours.headers))
            expect(f"timestamp of {i}", (0, theirs["timestamp_ms"]), (ours.timestamp_type, ours.timestamp))

    @states(f"{compression}: a record of 1 MB comes back as sent")
    async def megabyte():
        of = await topic(compression)
        value = noise(1_000_000)
        await send([{"topic": of, "value": value}], compression_type=kind, max_request_size=2_000_000)
        expect("the value is the same", True, (await read(of, 1))[0].value == value)

for settings in ({"acks": 1}, {"acks": "all"}, {"enable_idempotence": True}):
    @states(", ".join(f"{k}={v}" for k, v in settings.items()) + ": offsets are told and consecutive, and records come in order")
    async def acknowledged():
        of = await topic("acks")
        told = await send(numbered(of, 1_000), max_batch_size=500, **settings)
        expect("told offsets", list(range(1_000)), [m.offset for m in told])
        expect("values", [b"v%d" % i for i in range(1_000)], [m.value for m in await read(of, 1_000)])


@states("acks=0: records are stored in order")
async def unacknowledged():
    of = await topic("acks")
    await send(numbered(of, 100), acks=0)
    expect("values", [b"v%d" % i for i in range(100)], [m.value for m in await read(of, 100)])


@states("a batch the application built is stored as it is")
async def built():
    of = await topic("built")
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP)
    await producer.start()
    try:
        batch = producer.create_batch()
        for i in range(50):
            batch.append(key=b"k", value=b"v%d" % i, timestamp=None)
        batch.close()
        told = await (await producer.send_batch(batch, of, partition=0))
        expect("base offset", 0, told.offset)
    finally:
        await producer.stop()
    expect("values", [b"v%d" % i for i in range(50)], [m.value for m in await read(of, 50)])


@states("records of one key go to one partition, as many keys to all")
async def partitioned():
    of = await topic("keys", 4)
    told = await send([{"topic": of, "key": b"key%d" % (i % 40), "value": b"v"} for i in range(400)])
    homes = {}
    for i, outcome in enumerate(told):
        homes.setdefault(i % 40, set()).add(outcome.partition)
    expect("partitions of each key", {1}, {len(p) for p in homes.values()})
    expect("partitions", {0, 1, 2, 3}, {p for some in homes.values() for p in some})


@states("a record above max.message.bytes is refused: MessageSizeTooLargeError")
async def too_large():
    of = await topic("large")
    await refused(errors.MessageSizeTooLargeError, send([{"topic": of, "value": noise(1_100_000)}], max_request_size=2_000_000))
    expect("offset of the next", 0, (await send([{"topic": of, "value": b"small"}]))[0].offset)


@states("LogAppendTime: the broker's clock replaces the record's timestamp, and is told")
async def append_time():
    of = await topic("append-time", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    for compression in COMPRESSIONS:
        (told,) = await send([{"topic": of, "value": b"v", "timestamp_ms": 1_000}], compression_type=None if compression == "none" else compression)
        expect("told type and time", (1, True), (told.timestamp_type, before <= told.timestamp <= time.time() * 1000))
    for message in await read(of, len(COMPRESSIONS)):
        expect("type", 1, message.timestamp_type)
        expect("timestamp is of now", True, before <= message.timestamp <= time.time() * 1000)


@states("a timestamp two hours ahead is refused by default: InvalidTimestampError")
async def ahead():
    of = await topic("ahead")
    await refused(errors.InvalidTimestampError, send([{"topic": of, "value": b"v", "timestamp_ms": int(time.time() * 1000) + 7_200_000}]))


@states("50 partitions: each keeps its order, and nothing is lost or doubled")
async def fifty():
    of = await topic("fifty", 50)
    await send([{"topic": of, "partition": i % 50, "value": b"%d" % i} for i in range(3_000)], enable_idempotence=True, compression_type="lz4")
    seen = [[] for _ in range(50)]
    for message in await read(of, 3_000, partitions=50):
        expect("offset", len(seen[message.partition]), message.offset)
        seen[message.partition].append(int(message.value))
    expect("values", [list(range(p, 3_000, 50)) for p in range(50)], seen)


@states("producing to a topic that does not exist creates it")
async def sprung():
    of = name("aiokafka", "sprung")
    expect("offset", 0, (await send([{"topic": of, "value": b"v"}]))[0].offset)
    expect("value", b"v", (await read(of, 1))[0].value)


@states("seek: reading goes on at exactly that offset, within a batch too, and positions follow")
async def seek():
    of = await topic("seek")
    await send(numbered(of, 100), linger_ms=100, compression_type="gzip")
    partition = TopicPartition(of, 0)
    reader = await consumer(partition)
    try:
        for offset in (57, 3, 99, 0):
            reader.seek(partition, offset)
            first = await asyncio.wait_for(reader.getone(), PATIENCE_S)
            expect("first", (offset, b"v%d" % offset), (first.offset, first.value))
        await reader.seek_to_end(partition)
        expect("position at the end", 100, await reader.position(partition))
        await reader.seek_to_beginning(partition)
        expect("position at the beginning", 0, await reader.position(partition))
    finally:
        await reader.stop()


@states("latest: only what is written from then on is read; the high watermark is told with the records")
async def latest():
    of = await topic("latest")
    await send(numbered(of, 10))
    partition = TopicPartition(of, 0)
    reader = await consumer(partition, auto_offset_reset="latest")
    try:
        expect("position", 10, await asyncio.wait_for(reader.position(partition), PATIENCE_S))
        await send([{"topic": of, "value": b"new"}])
        (message,) = await poll(reader, 1)
        expect("first", (10, b"new"), (message.offset, message.value))
        expect("high watermark", 11, reader.highwater(partition))
    finally:
        await reader.stop()


@states("a paused partition gives nothing until it is resumed, and the others go on")
async def paused():
    of = await topic("pause", 2)
    one, two = TopicPartition(of, 0), TopicPartition(of, 1)
    reader = await consumer(one, two)
    try:
        reader.pause(one)
        await send(numbered(of, 5, 0) + numbered(of, 5, 1))
        expect("partitions", {1}, {m.partition for m in await poll(reader, 5)})
        reader.resume(one)
        expect("partitions", {0}, {m.partition for m in await poll(reader, 5)})
    finally:
        await reader.stop()


@states("beginning, end, and offsets for times")
async def offsets():
    of = await topic("times", 2, **KEPT)
    await send([{"topic": of, "partition": 0, "value": b"v%d" % i, "timestamp_ms": 10_000 + 100 * i} for i in range(30)], linger_ms=50)
    filled, empty = TopicPartition(of, 0), TopicPartition(of, 1)
    reader = await consumer(filled, empty)
    try:
        expect("beginning", {filled: 0, empty: 0}, await reader.beginning_offsets([filled, empty]))
        expect("end", {filled: 30, empty: 0}, await reader.end_offsets([filled, empty]))
        for timestamp, offset in ((0, 0), (10_000, 0), (10_001, 1), (10_700, 7), (12_900, 29)):
            found = (await reader.offsets_for_times({filled: timestamp}))[filled]
            expect(f"for {timestamp}", (offset, 10_000 + 100 * offset), (found.offset, found.timestamp))
        expect("after the last", None, (await reader.offsets_for_times({filled: 12_901}))[filled])
    finally:
        await reader.stop()


@states("out of range: auto_offset_reset=none is told, earliest and latest go there")
async def out_of_range():
    of = await topic("range")
    await send(numbered(of, 10))
    partition = TopicPartition(of, 0)
    reader = await consumer(partition, auto_offset_reset="none")
    try:
        reader.seek(partition, 1_000)
        await refused(errors.OffsetOutOfRangeError, asyncio.wait_for(reader.getone(), PATIENCE_S))
    finally:
        await reader.stop()
    expect("first offset", 0, (await read(of, 1, offset=1_000, auto_offset_reset="earliest"))[0].offset)


@states("read_committed on plain records: the same records, and the last stable offset is their end")
async def committed_only():
    of = await topic("committed")
    await send(numbered(of, 50))
    partition = TopicPartition(of, 0)
    reader = await consumer(partition, isolation_level="read_committed")
    try:
        expect("last", 49, (await poll(reader, 50))[-1].offset)
        expect("last stable offset", 50, reader.last_stable_offset(partition))
    finally:
        await reader.stop()


@states("long polling: a record produced while a consumer waits arrives well before fetch_max_wait_ms")
async def long_poll():
    of = await topic("long-poll")
    reader = await consumer(TopicPartition(of, 0), fetch_max_wait_ms=20_000)
    try:
        expect("nothing yet", {}, await reader.getmany(timeout_ms=1_000))
        for i in range(3):
            await send([{"topic": of, "value": b"v%d" % i}])
            start = time.monotonic()
            expect("value", b"v%d" % i, (await poll(reader, 1))[0].value)
            expect("prompt", True, time.monotonic() - start < 5)
    finally:
        await reader.stop()


@states("a batch larger than every fetch limit is delivered all the same")
async def tight():
    of = await topic("tight", 3)
    await send([{"topic": of, "partition": p, "value": noise(50_000)} for p in range(3)], max_request_size=100_000)
    got = await read(of, 3, partitions=3, max_partition_fetch_bytes=1, fetch_max_bytes=1)
    expect("partitions", {0, 1, 2}, {m.partition for m in got})


@states("deleted records are gone, -1 deletes all, and beyond the end is refused: OffsetOutOfRangeError")
async def delete_records():
    of = await topic("delete")
    await send(numbered(of, 20))
    partition = TopicPartition(of, 0)

    async def low(before):
        return (await admin.delete_records({partition: RecordsToDelete(before)}))[partition]
    expect("low watermark", 6, await low(6))
    expect("first that is left", 6, (await read(of, 1, offset=0))[0].offset)
    await refused(errors.OffsetOutOfRangeError, low(21))
    expect("low watermark", 20, await low(-1))


@states("topics: created, described, grown, deleted")
async def topics():
    of = await topic("topics", 3)

    async def partitions():
        (described,) = await admin.describe_topics([of])
        return sorted(p["partition"] for p in described["partitions"])
    expect("partitions", [0, 1, 2], await partitions())
    expect("listed", True, of in await admin.list_topics())
    await admin.create_partitions({of: NewPartitions(5)})

    async def grown():
        return await partitions() == [0, 1, 2, 3, 4]
    await eventually("five partitions", grown)
    await refused(errors.InvalidPartitionsError, admin.create_partitions({of: NewPartitions(4)}))
    expect("deleted", [0], [code for _, code, *_ in (await admin.delete_topics([of])).topic_error_codes])

    async def gone():
        return of not in await admin.list_topics()
    await eventually("it is gone", gone)
    (again,) = [code for _, code, *_ in (await admin.delete_topics([of])).topic_error_codes]
    expect("deleted again", errors.UnknownTopicOrPartitionError, errors.for_code(again))


@states("bad topics are refused: existing, bad name, too many replicas, no partitions, bad setting; validate_only creates nothing")
async def bad_topics():
    of = await topic("exists")
    await refused(errors.TopicAlreadyExistsError, create(of))
    await refused(errors.InvalidTopicError, create("bad name"))
    await refused(errors.InvalidReplicationFactorError, create(of + "rf", replicas=4))
    await refused(errors.InvalidPartitionsError, create(of + "p", partitions=0))
    await refused(errors.InvalidConfigurationError, create(of + "c", retention_ms="soon"))
    await create(of + "v", validate_only=True)
    expect("listed", False, of + "v" in await admin.list_topics())


@states("settings: described and replaced as a whole (AlterConfigs); a bad value is refused")
async def settings_of_topics():
    of = await topic("settings", retention_ms=4711)

    async def values():
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, of)])
        (resource,) = answer.resources
        return {entry[0]: entry[1] for entry in resource[4]}

    async def alter(**configs):
        (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, of, {k.replace("_", "."): v for k, v in configs.items()})])
        return errors.for_code(answer.resources[0][0])
    expect("retention.ms", "4711", (await values())["retention.ms"])
    expect("max.message.bytes", "1048588", (await values())["max.message.bytes"])
    expect("the answer", errors.NoError, await alter(cleanup_policy="compact"))

    async def replaced():
        now = await values()
        return (now["cleanup.policy"], now["retention.ms"]) == ("compact", "604800000")
    await eventually("what is not named goes back to its default", replaced)
    expect("the refusal", errors.InvalidConfigurationError, await alter(retention_ms="soon"))


@states("the cluster is described: its node, its controller, the topic's leader")
async def cluster():
    described = await admin.describe_cluster()
    (node,) = described["brokers"]
    expect("address", BOOTSTRAP, f"{node['host']}:{node['port']}")
    expect("controller", node["node_id"], described["controller_id"])


groups.run()
loop.run_until_complete(admin.close())
end()
