"""produce_kafka_python.py BOOTSTRAP JOURNAL NAME TOPICS RATE: an idempotent producer of kafka-python's, another one every so often."""
import random
import sys
import time

from kafka import KafkaProducer

from role import PENDING_LIMIT, REOPEN_S, REQUEST_S, Journal, Numbered, Pace, begin, leaving, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS = sys.argv[1:5]
RATE = float(sys.argv[5])
# More patient than any outage: once it has given up a record it may find its sequence out of order for ever, against Apache Kafka as well.
DELIVERY_S = 120


class Life:
    def __init__(self, number):
        self.records = Numbered(journal, f"{NAME}.{number}", partitions)
        self.until = time.monotonic() + random.uniform(*REOPEN_S)
        self.producer = KafkaProducer(
            bootstrap_servers=BOOTSTRAP.split(","), enable_idempotence=True, acks="all", linger_ms=5, metadata_max_age_ms=5000,
            request_timeout_ms=REQUEST_S * 1000, delivery_timeout_ms=DELIVERY_S * 1000, max_block_ms=5000)

    def send(self):
        partition, sequence, value = self.records.new()
        topic, number = partitions[partition]
        try:
            future = self.producer.send(topic, value, key=self.records.name.encode(), partition=number)
        except Exception as refusal:
            # No metadata, or no place in its buffer: it did not come as far as being sent.
            self.records.never_sent(partition, sequence, type(refusal).__name__)
            return
        future.add_callback(lambda told: self.records.acknowledged(partition, sequence, told.offset))
        future.add_errback(lambda why: self.records.unknown(partition, sequence, type(why).__name__))


def opened(number):
    while not leaving.is_set():
        try:
            return Life(number)
        except Exception as refusal:
            print(f"{NAME}.{number}: {refusal!r}", file=sys.stderr, flush=True)
            time.sleep(1)
    return None


begin()
journal, partitions, pace = Journal(JOURNAL), partitions_of(TOPICS), Pace(RATE)
count, current = 0, opened(0)
while not leaving.is_set():
    if time.monotonic() > current.until:
        # All it has sent gets a fate first; its successor is another one.
        current.producer.close(timeout=DELIVERY_S + REQUEST_S)
        count += 1
        current = opened(count)
        continue
    if current.records.pending < PENDING_LIMIT and pace.wait():
        current.send()
        pace.took()
    elif current.records.pending >= PENDING_LIMIT:
        time.sleep(0.1)
    journal.flush()
if current is not None:
    current.producer.close(timeout=DELIVERY_S + REQUEST_S)
    if current.records.pending:
        print(f"{current.records.pending} records have no fate", file=sys.stderr)
journal.flush()
