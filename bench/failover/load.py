"""load.py BOOTSTRAP JOURNAL TOPIC PARTITIONS MB_A_SECOND: records of 1 KiB, to all partitions, with acks=all."""
import random
import sys
import time

from confluent_kafka import Producer

from role import begin, leaving

BOOTSTRAP, _, TOPIC = sys.argv[1:4]
PARTITIONS, RATE = int(sys.argv[4]), float(sys.argv[5]) * 1000
VALUE = random.Random(42).randbytes(1000)
# What an outage has held up is not made up for.
TICK_S = 0.02

begin()
producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "acks": "all", "linger.ms": 5, "log_level": 3,
                     "queue.buffering.max.kbytes": 16384})
partition, due = 0, time.monotonic()
while not leaving.is_set():
    for _ in range(int(RATE * TICK_S)):
        try:
            producer.produce(TOPIC, VALUE, partition=partition)
        except BufferError:
            break
        partition = (partition + 1) % PARTITIONS
    producer.poll(0)
    due = max(due + TICK_S, time.monotonic() - 1)
    time.sleep(max(0.0, due - time.monotonic()))
producer.purge()
producer.flush(10)
