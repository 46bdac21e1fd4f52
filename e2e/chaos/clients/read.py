"""read.py BOOTSTRAP JOURNAL NAME TOPICS ISOLATION RACK: reads all partitions as fast as they grow, from the beginning; every so often it opens
anew and begins at the beginning, or somewhere in what it has read before. RACK (-: none) is where it says it stands."""
import random
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from role import REOPEN_S, REQUEST_S, Journal, begin, decode, leaving, now, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS, ISOLATION, RACK = sys.argv[1:7]
FROM_BEGINNING = 0.4


def settings():
    rack = {} if RACK == "-" else {"client.rack": RACK}
    return rack | {
        "bootstrap.servers": BOOTSTRAP, "group.id": NAME, "enable.auto.commit": False, "isolation.level": "read_" + ISOLATION,
        # Nothing is ever cut, so a reader that is told so has read what was not committed, or is told wrongly.
        "auto.offset.reset": "error", "check.crcs": True, "fetch.wait.max.ms": 200, "socket.timeout.ms": REQUEST_S * 1000,
        "topic.metadata.refresh.interval.ms": 5000, "log_level": 3}


def begins(partition, count):
    reached = ends.get(partition, 0)
    return 0 if not count or random.random() < FROM_BEGINNING else random.randint(0, reached)


def session(count):
    name = f"{NAME}.{count}"
    journal.write("o", name, ISOLATION)
    starts = {partition: begins(partition, count) for partition in partitions}
    for partition, offset in starts.items():
        journal.write("p", name, partition, offset)
    consumer = Consumer(settings())
    consumer.assign([TopicPartition(*partitions[partition], offset) for partition, offset in starts.items()])
    until = time.monotonic() + random.uniform(*REOPEN_S)
    while not leaving.is_set() and time.monotonic() < until:
        for message in consumer.consume(500, 0.3):
            partition = f"{message.topic()}-{message.partition()}"
            if error := message.error():
                if error.code() == KafkaError._AUTO_OFFSET_RESET:
                    journal.write("x", name, partition, message.offset(), now(), error.str())
                    until = 0
                continue
            record = decode(partition, message.value())
            if record is None:
                journal.broken(f"{name} read bytes that nobody wrote at {message.offset()} of {partition}: {message.value()[:60]}")
                continue
            journal.write("r", name, partition, message.offset(), *record)
            ends[partition] = max(ends.get(partition, 0), message.offset() + 1)
        journal.flush()
    consumer.close()
    journal.flush()


begin()
journal, partitions, ends, sessions = Journal(JOURNAL), partitions_of(TOPICS), {}, 0
while not leaving.is_set():
    try:
        session(sessions)
    except KafkaException as refusal:
        print(f"{NAME}: {refusal}", file=sys.stderr, flush=True)
        leaving.wait(1)
    sessions += 1
