"""member.py BOOTSTRAP GROUP TOPIC ASSIGNOR: a member of a group. ASSIGNOR is range, cooperative-sticky, or consumer (that protocol).

It tells the ledger (ledger.py) of ranges: what it read of a partition, without a gap, in one generation. A range is told before it is
committed, so whatever a group has committed the ledger knows of, even when the member is killed in between.
"""
import struct
import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from role import HEAD, begin, broken, client, leaving, reader, say

BOOTSTRAP, GROUP, TOPIC, ASSIGNOR = sys.argv[1:5]
NEWER = ASSIGNOR == "consumer"
INCREMENTAL = ASSIGNOR != "range"
REPORT_S = 1.0


class Range:
    def __init__(self, offset):
        self.begin = self.end = offset
        self.first, self.next = {}, {}


ranges, owned, generation = {}, set(), -1


def report(commit_asynchronously=None):
    """Tells of all ranges; with an argument, commits them as well."""
    told = [(partition, r) for partition, r in ranges.items() if r.end > r.begin]
    for partition, r in told:
        say("range", generation=generation, partition=partition, begin=r.begin, end=r.end, first=r.first, next=r.next)
        ranges[partition] = Range(r.end)
    if told and commit_asynchronously is not None:
        try:
            consumer.commit(offsets=[TopicPartition(TOPIC, p, r.end) for p, r in told], asynchronous=commit_asynchronously)
        except KafkaException as refusal:
            # A member that the group has gone on without; who has the partition now reads these records again.
            say("uncommitted", why=refusal.args[0].name())


def current_generation():
    # The bytes are said to be opaque; there is no other way to learn it. "CGMDv2:", then the generation.
    return struct.unpack_from("=i", consumer.consumer_group_metadata(), 7)[0]


def assigned(_, partitions):
    consumer.incremental_assign(partitions) if INCREMENTAL else consumer.assign(partitions)
    owned.update(p.partition for p in partitions)
    say("assigned", generation=current_generation(), partitions=len(owned))


def forget(partitions):
    for p in partitions:
        owned.discard(p.partition)
        ranges.pop(p.partition, None)
    consumer.incremental_unassign(partitions) if INCREMENTAL else consumer.unassign()


def revoked(_, partitions):
    report(commit_asynchronously=False)
    forget(partitions)


def lost(_, partitions):
    report()
    forget(partitions)


def take(messages):
    for message in messages:
        if message.error():
            say("refused", why=message.error().name())
            if message.error().fatal():
                broken(f"a member of {GROUP} cannot go on: {message.error()}")
                leaving.set()
            continue
        partition, offset = message.partition(), message.offset()
        if partition not in owned:
            continue  # given back while the batch was being filled
        producer, number = HEAD.unpack_from(message.value())
        r = ranges.get(partition)
        if r is None:
            r = ranges[partition] = Range(offset)
        elif r.end != offset:
            report()
            r = ranges[partition] = Range(offset)
        expected = r.next.get(producer)
        if expected is None:
            r.first[producer] = number
        elif expected != number:
            broken(f"{GROUP}, partition {partition}: at {offset} came record {number} of producer {producer} instead of {expected}")
        r.next[producer] = number + 1
        r.end = offset + 1


settings = reader(BOOTSTRAP, GROUP)
if NEWER:
    settings |= {"group.protocol": "consumer"}
else:
    settings |= client(BOOTSTRAP, partition_assignment_strategy=ASSIGNOR, session_timeout_ms=6000, heartbeat_interval_ms=1000)
begin()
consumer = Consumer(settings)
consumer.subscribe([TOPIC], on_assign=assigned, on_revoke=revoked, on_lost=lost)
report_at = 0.0
while not leaving.is_set():
    messages = consumer.consume(500, 0.3)
    if (now_in := current_generation()) != generation:
        report()  # what was read before belongs to the generation before
        generation = now_in
    take(messages)
    if time.monotonic() > report_at:
        report(commit_asynchronously=True)
        report_at = time.monotonic() + REPORT_S
report(commit_asynchronously=False)
consumer.close()
say("left")
