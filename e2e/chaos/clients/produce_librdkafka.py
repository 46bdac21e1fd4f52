"""produce_librdkafka.py BOOTSTRAP JOURNAL NAME TOPICS RATE: an idempotent producer of librdkafka's, another one every so often."""
import random
import sys
import time

from confluent_kafka import KafkaException, Producer

from role import DELIVERY_S, PENDING_LIMIT, REOPEN_S, REQUEST_S, Journal, Numbered, Pace, begin, leaving, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS = sys.argv[1:5]
RATE = float(sys.argv[5])


class Life:
    """One producer, from its opening until everything it has sent has a fate."""

    def __init__(self, number):
        self.records = Numbered(journal, f"{NAME}.{number}", partitions)
        self.until, self.dead, self.gave_up = time.monotonic() + random.uniform(*REOPEN_S), False, False
        self.producer = Producer({
            "bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "acks": "all", "linger.ms": 5, "log_level": 3,
            "delivery.timeout.ms": random.choice(DELIVERY_S) * 1000, "request.timeout.ms": REQUEST_S * 1000,
            "socket.timeout.ms": REQUEST_S * 1000, "topic.metadata.refresh.interval.ms": 5000, "error_cb": self.told})

    def told(self, error):
        """A fatal error: it cannot go on, what it has sent is of unknown fate, and another one takes over. For one that has not given up a record
        before, it means that the broker has forgotten some."""
        if not error.fatal() or self.dead:
            return
        self.dead = True
        if not self.gave_up:
            journal.broken(f"{self.records.name} cannot go on: {error}")
        self.producer.purge()

    def poll(self, seconds):
        try:
            self.producer.poll(seconds)
        except KafkaException as refusal:
            self.told(refusal.args[0])

    def send(self):
        partition, sequence, value = self.records.new()
        topic, number = partitions[partition]

        def delivered(error, message):
            if error is None:
                self.records.acknowledged(partition, sequence, message.offset())
            else:
                self.told(error)
                self.gave_up = True
                self.records.unknown(partition, sequence, error.name())
        try:
            self.producer.produce(topic, value, key=self.records.name, partition=number, on_delivery=delivered)
        except BufferError:
            self.records.never_sent(partition, sequence, "its queue is full")
        except Exception as refusal:
            self.records.never_sent(partition, sequence, refusal)
            self.dead = True


begin()
journal, partitions, pace = Journal(JOURNAL), partitions_of(TOPICS), Pace(RATE)
lives, count = [Life(0)], 0
while not leaving.is_set():
    current = lives[-1]
    if current.dead or time.monotonic() > current.until:
        count += 1
        lives.append(Life(count))
        continue
    if current.records.pending < PENDING_LIMIT and pace.wait():
        current.send()
        pace.took()
    for life in lives:
        life.poll(0 if current.records.pending < PENDING_LIMIT else 0.1)
    lives = [life for life in lives if life is current or life.records.pending]
    journal.flush()
deadline = time.monotonic() + max(DELIVERY_S) + REQUEST_S
while any(life.records.pending for life in lives) and time.monotonic() < deadline:
    for life in lives:
        life.poll(0.1)
journal.flush()
if left := sum(life.records.pending for life in lives):
    sys.exit(f"{left} records have no fate")
