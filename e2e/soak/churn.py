"""churn.py BOOTSTRAP: topics come, are written to, read, grown and deleted, and groups with them; at most LIVE of them at a time."""
import random
import struct
import sys
import time
from collections import deque

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from role import PATIENCE_S, begin, broken, client, idempotent, leaving, reader, say

(BOOTSTRAP,) = sys.argv[1:]
EVERY_S = 3
LIVE = 10
PARTITIONS = 20
RECORDS_EACH = 20
# Connections and producer ids come and go with the clients.
REOPEN_CYCLES = 20
NUMBER = struct.Struct("<I")
CONFIGS = [{}, {"cleanup.policy": "compact"}, {"retention.ms": "5000"}, {"compression.type": "zstd"}]


def result(futures):
    for future in futures.values():
        future.result(PATIENCE_S)


def write(topic, partitions, first):
    for number in range(first, first + RECORDS_EACH):
        for partition in partitions:
            value = NUMBER.pack(number)
            producer.produce(topic, value, key=value, partition=partition, on_delivery=told)
    if left := producer.flush(PATIENCE_S):
        broken(f"{left} records for {topic} were not acknowledged within {PATIENCE_S} s")


def told(error, message):
    if error is not None:
        broken(f"a record for {message.topic()} was refused: {error}")


def read(topic, written):
    """written: by partition, how many records there must be. All of them are read, in order, and committed."""
    consumer = Consumer(reader(BOOTSTRAP, "group-of-" + topic))
    try:
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in written])
        got, deadline = dict.fromkeys(written, 0), time.monotonic() + PATIENCE_S
        while got != written:
            if time.monotonic() > deadline:
                return broken(f"{topic}: of {written} records {got} came within {PATIENCE_S} s")
            for message in consumer.consume(500, 0.3):
                if message.error():
                    raise KafkaException(message.error())
                (number,) = NUMBER.unpack(message.value())
                if number != got[message.partition()]:
                    return broken(f"{topic}-{message.partition()}: record {number} came instead of {got[message.partition()]}")
                got[message.partition()] += 1
        ends = [TopicPartition(topic, p, count) for p, count in written.items()]
        consumer.commit(offsets=ends, asynchronous=False)
        kept = {p.partition: p.offset for p in consumer.committed(ends, PATIENCE_S)}
        if kept != written:
            broken(f"{topic}: {written} was committed, and {kept} is found")
    finally:
        consumer.close()


def cycle(topic):
    partitions = random.randint(1, PARTITIONS)
    config = random.choice(CONFIGS)
    result(admin.create_topics([NewTopic(topic, partitions, 1, config=config)]))
    live.append(topic)
    write(topic, range(partitions), 0)
    # What retention may take soon cannot be counted.
    written = dict.fromkeys(range(partitions), RECORDS_EACH)
    if "retention.ms" not in config:
        read(topic, written)
    if random.random() < 0.5:
        grown = partitions + random.randint(1, 5)
        result(admin.create_partitions([NewPartitions(topic, grown)]))
        producer.list_topics(topic, PATIENCE_S)  # or it would not know of them for a while
        write(topic, range(partitions, grown), 0)
        if "retention.ms" not in config:
            read(topic, written | dict.fromkeys(range(partitions, grown), RECORDS_EACH))
        counts["grown"] += 1
    counts["created"] += 1
    if len(live) > LIVE:
        delete(live.popleft())


def delete(topic):
    group = "group-of-" + topic
    known = {g.group_id for g in admin.list_consumer_groups().result(PATIENCE_S).valid}
    if group in known:
        result(admin.delete_consumer_groups([group]))
    result(admin.delete_topics([topic]))
    counts["deleted"] += 1


begin()
live, counts, number = deque(), {"created": 0, "grown": 0, "deleted": 0}, 0
while not leaving.is_set():
    if number % REOPEN_CYCLES == 0:
        admin, producer = AdminClient(client(BOOTSTRAP)), Producer(idempotent(BOOTSTRAP))
    begun = time.monotonic()
    try:
        cycle(f"churn-{number}")
    except KafkaException as refusal:
        broken(f"churn-{number}: {refusal}")
    number += 1
    leaving.wait(max(0, EVERY_S - (time.monotonic() - begun)))
while live:
    delete(live.popleft())
say("churned", **counts)
