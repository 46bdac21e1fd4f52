"""read.py BOOTSTRAP JOURNAL NAME TOPICS ISOLATION RACK: reads all partitions as fast as they grow, from the beginning; every so often it opens
anew and begins at the beginning, or somewhere in what it has read before. RACK (-: none) is where it says it stands."""
import random
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from role import REOPEN_S, REQUEST_S, Journal, begin, decode, leaving, now, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS, ISOLATION, RACK = sys.argv[1:7]
# How often it reads everything again, while a partition has no more than so many records; the more there are, the less often.
FROM_BEGINNING, SMALL = 0.4, 2000
# Otherwise it begins so many records before where it was, or fewer.
BACK = 1000


def settings():
    rack = {} if RACK == "-" else {"client.rack": RACK}
    return rack | {
        "bootstrap.servers": BOOTSTRAP, "group.id": NAME, "enable.auto.commit": False, "isolation.level": "read_" + ISOLATION,
        # Nothing is ever cut, so a reader that is told so has read what was not committed, or is told wrongly.
        "auto.offset.reset": "error", "check.crcs": True, "fetch.wait.max.ms": 200, "socket.timeout.ms": REQUEST_S * 1000,
        "topic.metadata.refresh.interval.ms": 5000, "log_level": 3}


def begins(count):
    """By partition, where a session reads from."""
    share = FROM_BEGINNING * min(1, SMALL * len(partitions) / max(1, sum(ends.values())))
    if not count or random.random() < share:
        return dict.fromkeys(partitions, 0)
    return {partition: random.randint(max(0, ends.get(partition, 0) - BACK), ends.get(partition, 0)) for partition in partitions}


def session(count):
    name = f"{NAME}.{count}"
    journal.write("o", name, ISOLATION)
    starts = begins(count)
    for partition, offset in starts.items():
        journal.write("p", name, partition, offset)
    consumer = Consumer(settings())
    consumer.assign([TopicPartition(*partitions[partition], offset) for partition, offset in starts.items()])
    # librdkafka does not say which offset it had come to when there is none such.
    until, reached = time.monotonic() + random.uniform(*REOPEN_S), dict(starts)
    while not leaving.is_set() and time.monotonic() < until:
        for message in consumer.consume(500, 0.3):
            partition = f"{message.topic()}-{message.partition()}"
            if error := message.error():
                if error.code() == KafkaError._AUTO_OFFSET_RESET:
                    journal.write("x", name, partition, reached.get(partition, -1), now(), error.str())
                    until = 0
                continue
            record = decode(partition, message.value())
            if record is None:
                journal.broken(f"{name} read bytes that nobody wrote at {message.offset()} of {partition}: {message.value()[:60]}")
                continue
            journal.write("r", name, partition, message.offset(), *record)
            reached[partition] = message.offset() + 1
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
