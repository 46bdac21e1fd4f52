"""The broker under test, and how aiokafka's programs reach it. Called as PROGRAM BOOTSTRAP PEER."""
import asyncio
import logging
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from statements import PATIENCE_S, expect, name
from statements import states as states_of

BOOTSTRAP, PEER = sys.argv[1:3]
STATEMENT_SECONDS = 180
# What is refused is stated, and need not be logged as well.
logging.basicConfig(level=logging.CRITICAL)
print(f"# aiokafka {aiokafka.__version__} against {PEER}")
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
# For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
KEPT = {"retention_ms": -1}


def states(statement):
    def judge(body):
        return states_of(statement)(lambda: loop.run_until_complete(asyncio.wait_for(body(), STATEMENT_SECONDS)))
    return judge


async def eventually(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S} s: {what}")
        await asyncio.sleep(0.05)


async def refused(kind, awaitable):
    try:
        await awaitable
    except errors.KafkaError as refusal:
        expect("the refusal", kind.__name__, type(refusal).__name__)
        return
    raise AssertionError(f"expected {kind.__name__}, but it was accepted")


async def administrator():
    client = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await client.start()
    return client

admin = loop.run_until_complete(administrator())


async def create(created, partitions=1, replicas=1, validate_only=False, **config):
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    answer = await admin.create_topics([NewTopic(created, partitions, replicas, topic_configs=config)], validate_only=validate_only)
    for _, code, *_ in answer.topic_errors:
        if code:
            raise errors.for_code(code)()


async def topic(hint, partitions=1, **config):
    created = name("aiokafka", hint)
    await create(created, partitions, **config)

    async def led():
        # Kafka's controller answers before the broker leads the partitions.
        reader = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP)
        await reader.start()
        try:
            ends = await asyncio.wait_for(reader.end_offsets([TopicPartition(created, p) for p in range(partitions)]), 5)
            return all(e == 0 for e in ends.values())
        except (errors.KafkaError, asyncio.TimeoutError):
            return False
        finally:
            await reader.stop()
    await eventually("the topic is led", led)
    return created


async def send(records, **settings):
    """Sends dicts of AIOKafkaProducer.send's arguments; gives what was told of each, in order."""
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)
    await producer.start()
    try:
        sent = [await producer.send(**record) for record in records]
        return [await asyncio.wait_for(future, PATIENCE_S) for future in sent]
    finally:
        await producer.stop()


async def consumer(*partitions, **settings):
    base = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "fetch_max_wait_ms": 100}
    reader = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, **{**base, **settings})
    await reader.start()
    if partitions:
        reader.assign(list(partitions))
    return reader


async def poll(reader, count):
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"only {len(got)} of {count} records came within {PATIENCE_S} s")
        for records in (await reader.getmany(timeout_ms=200)).values():
            got.extend(records)
    return got


async def read(of, count, partitions=1, offset=0, **settings):
    reader = await consumer(*[TopicPartition(of, p) for p in range(partitions)], **settings)
    try:
        for partition in reader.assignment():
            reader.seek(partition, offset)
        return await poll(reader, count)
    finally:
        await reader.stop()


def numbered(of, count, partition=0):
    return [{"topic": of, "partition": partition, "key": b"k%d" % i, "value": b"v%d" % i} for i in range(count)]
