"""The broker under test, and how librdkafka's programs reach it. Called as PROGRAM BOOTSTRAP PEER."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from statements import PATIENCE_S, eventually, expect, name

BOOTSTRAP, PEER = sys.argv[1:3]
print(f"# librdkafka {confluent_kafka.libversion()[0]}, confluent-kafka {confluent_kafka.version()} against {PEER}")
# Connections that idle are closed by either side; librdkafka would otherwise write so to stderr.
admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "log.connection.close": False})


def result(futures):
    (future,) = futures.values()
    return future.result(PATIENCE_S)


def refused(code, body):
    try:
        body()
    except KafkaException as refusal:
        expect("the refusal", code, refusal.args[0].name())
        return
    raise AssertionError(f"expected {code}, but it was accepted")


# For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
KEPT = {"retention_ms": -1}


def topic(hint, partitions=1, **config):
    created = name("librdkafka", hint)
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    result(admin.create_topics([NewTopic(created, partitions, 1, config=config)]))

    def led():
        # Kafka's controller answers before the broker leads the partitions.
        try:
            if len(admin.list_topics(created, timeout=PATIENCE_S).topics[created].partitions) != partitions:
                return False
            ends = {TopicPartition(created, p): OffsetSpec.latest() for p in range(partitions)}
            return all(f.result(PATIENCE_S).offset == 0 for f in admin.list_offsets(ends).values())
        except KafkaException:
            return False
    eventually("the topic is led", led)
    return created


def send(records, **settings):
    """Sends dicts of Producer.produce's arguments; gives what was told of each, in order."""
    settings = {key.replace("_", "."): value for key, value in settings.items()}
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "log.connection.close": False, **settings})
    told = [None] * len(records)

    def note(i):
        def delivered(error, message):
            told[i] = error or message
        return delivered
    for i, record in enumerate(records):
        producer.produce(**record, on_delivery=note(i))
        producer.poll(0)
    expect("records left in the producer", 0, producer.flush(PATIENCE_S))
    for outcome in told:
        if isinstance(outcome, KafkaError):
            raise KafkaException(outcome)
    return told


def consumer(**settings):
    settings = {key.replace("_", "."): value for key, value in settings.items()}
    # librdkafka wants a group's name even where no group is used.
    base = {"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100, "log.connection.close": False}
    return Consumer({**base, **settings})


def poll(reader, count):
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"only {len(got)} of {count} records came within {PATIENCE_S} s")
        message = reader.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        got.append(message)
    return got


def read(of, count, partitions=1, offset=OFFSET_BEGINNING, **settings):
    reader = consumer(**settings)
    try:
        reader.assign([TopicPartition(of, p, offset) for p in range(partitions)])
        return poll(reader, count)
    finally:
        reader.close()


def numbered(of, count):
    return [{"topic": of, "partition": 0, "key": f"k{i}", "value": f"v{i}"} for i in range(count)]
