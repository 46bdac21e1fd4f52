"""read_final.py BOOTSTRAP JOURNAL NAME TOPICS ISOLATION SECONDS: reads everything once, from the beginning to the high watermark."""
import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from role import REQUEST_S, Journal, decode, now, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS, ISOLATION = sys.argv[1:6]
deadline = time.monotonic() + float(sys.argv[6])


def end_of(partition):
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(*partition), timeout=REQUEST_S, cached=False)[1]
        except KafkaException as refusal:
            if time.monotonic() > deadline:
                sys.exit(f"{partition} does not say where its end is: {refusal}")
            time.sleep(0.5)


journal, partitions = Journal(JOURNAL), partitions_of(TOPICS)
consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": NAME, "enable.auto.commit": False, "isolation.level": "read_" + ISOLATION,
                     "auto.offset.reset": "error", "check.crcs": True, "socket.timeout.ms": REQUEST_S * 1000, "log_level": 3})
ends = {partition: end_of(where) for partition, where in partitions.items()}
journal.write("o", NAME, "final")
for partition in partitions:
    journal.write("p", NAME, partition, 0)
consumer.assign([TopicPartition(*where, 0) for where in partitions.values()])
left = {partition for partition, end in ends.items() if end}
while left and time.monotonic() < deadline:
    for message in consumer.consume(1000, 0.3):
        partition = f"{message.topic()}-{message.partition()}"
        if message.error():
            print(f"{NAME}, {partition}: {message.error()}", file=sys.stderr, flush=True)
            continue
        if message.offset() >= ends[partition]:
            continue
        record = decode(partition, message.value())
        if record is None:
            journal.broken(f"{NAME} read bytes that nobody wrote at {message.offset()} of {partition}: {message.value()[:60]}")
            continue
        journal.write("r", NAME, partition, message.offset(), *record)
    # By position: the last offsets may hold no record.
    for place in consumer.position([TopicPartition(*partitions[partition]) for partition in left]):
        if place.offset >= ends[name := f"{place.topic}-{place.partition}"]:
            left.discard(name)
for partition in partitions:
    if partition not in left:
        journal.write("e", NAME, partition, ends[partition], now())
consumer.close()
journal.flush()
if left:
    sys.exit(f"{NAME} did not come to the end of {sorted(left)}")
