"""replay.py BOOTSTRAP DELETED COMPACTED PARTITIONS COMPACTED_PARTITIONS: reads old records while retention and compaction run.

Every so often some records of one partition from its log start on, and the whole compacted topic.
"""
import random
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

import compacted
from role import HEAD, PATIENCE_S, begin, broken, leaving, reader, say

BOOTSTRAP, DELETED, COMPACTED = sys.argv[1:4]
PARTITIONS, COMPACTED_PARTITIONS = int(sys.argv[4]), int(sys.argv[5])
EVERY_S = 20
RECORDS = 20_000


def from_log_start(partition):
    consumer.assign([TopicPartition(DELETED, partition, OFFSET_BEGINNING)])
    following, numbers, count = None, {}, 0
    while count < RECORDS:
        messages = consumer.consume(500, 2)
        if not messages:
            break
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            offset = message.offset()
            producer, number = HEAD.unpack_from(message.value())
            if following is not None and offset != following:
                start, _ = consumer.get_watermark_offsets(TopicPartition(DELETED, partition), timeout=PATIENCE_S, cached=False)
                if offset < following or start < offset:
                    broken(f"replay of {DELETED}-{partition}: {offset} came instead of {following}, and the log starts at {start}")
                numbers.clear()  # retention was faster
            elif numbers.get(producer, number) != number:
                broken(f"replay of {DELETED}-{partition}: record {number} of producer {producer} at {offset} instead of {numbers[producer]}")
            following, numbers[producer] = offset + 1, number + 1
            count += 1
    consumer.unassign()
    return count


begin()
consumer = Consumer(reader(BOOTSTRAP, "replay"))
while not leaving.wait(EVERY_S):
    count = from_log_start(random.randrange(PARTITIONS))
    _, kept, disorder = compacted.read(consumer, COMPACTED, COMPACTED_PARTITIONS)
    for what in disorder:
        broken(what)
    say("replayed", records=count, compacted=kept)
consumer.close()
