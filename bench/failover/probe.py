"""probe.py BOOTSTRAP JOURNAL TOPIC PARTITIONS EVERY_MS: a record to each partition every so often; every acknowledgement is written down as
`PARTITION TIME`, and as `late SECONDS TIME` where this program itself was held up. librdkafka, idempotent, its defaults otherwise."""
import sys
import time

from confluent_kafka import Producer

from role import Journal, begin, leaving, now

BOOTSTRAP, JOURNAL, TOPIC = sys.argv[1:4]
PARTITIONS, EVERY_S = int(sys.argv[4]), float(sys.argv[5]) / 1000
# A gap of this program that must be told of: it would be taken for one of the cluster.
LATE_S = 0.1
VALUE = b"." * 100


def told(error, message):
    if error is None:
        journal.write(str(message.partition()), now())
    else:
        journal.write("refused", message.partition(), error.name(), now())


begin()
journal = Journal(JOURNAL)
producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "acks": "all", "linger.ms": 0, "log_level": 3})
due = time.monotonic()
while not leaving.is_set():
    for partition in range(PARTITIONS):
        try:
            producer.produce(TOPIC, VALUE, partition=partition, on_delivery=told)
        except BufferError:
            pass  # an outage of minutes: there is enough to be acknowledged
    due += EVERY_S
    while True:
        left = due - time.monotonic()
        producer.poll(max(0.0, min(left, EVERY_S)))
        if left <= 0:
            break
    if -left > LATE_S:
        journal.write("late", f"{-left:.3f}", now())
        due = time.monotonic()
    journal.flush()
producer.purge()
producer.flush(10)
journal.flush()
