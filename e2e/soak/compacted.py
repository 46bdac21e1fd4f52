"""What is written to the compacted topic, and how it is read back.

A key is its number; the value's head repeats it, with the version. A tombstone has no value, so nothing says which version it is but its
place: behind an older one and before a newer one.
"""
import struct
import time

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from role import HEAD, PATIENCE_S

KEY = struct.Struct("<I")
TOMBSTONE_EVERY = 20


def is_tombstone(version):
    return version % TOMBSTONE_EVERY == TOMBSTONE_EVERY - 1


def place(key, partitions):
    return key % partitions


def encode(key, _version):
    return KEY.pack(key)


def read(consumer, topic, partitions, patience_s=PATIENCE_S):
    """Reads from the log's start to where its end is now. Gives the newest version by key (None: a tombstone), how many records there
    were, and what was not in order."""
    newest, versions, count, broken = {}, {}, 0, []
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=patience_s, cached=False)[1] for p in range(partitions)}
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
    last, deadline = dict.fromkeys(ends, -1), time.monotonic() + patience_s
    # The end of a partition is told by position: behind the last record others may lie that compaction has taken.
    while any(p.offset < ends[p.partition] for p in consumer.position([TopicPartition(topic, p) for p in ends if ends[p]])):
        if time.monotonic() > deadline:
            broken.append(f"{topic} could not be read to its end within {patience_s} s: at {last} of {ends}")
            break
        for message in consumer.consume(500, 0.5):
            if message.error():
                raise KafkaException(message.error())
            partition, offset = message.partition(), message.offset()
            if offset <= last[partition]:
                broken.append(f"{topic}-{partition}: offset {offset} came behind {last[partition]}")
            last[partition] = offset
            (key,) = KEY.unpack(message.key())
            count += 1
            value = message.value()
            if value is None:
                newest[key] = None
                continue
            named, version = HEAD.unpack_from(value)
            if named != key:
                broken.append(f"{topic}-{partition}: the record at {offset} has key {key} and a value of key {named}")
            if version <= versions.get(key, -1):
                broken.append(f"{topic}-{partition}: version {version} of key {key} at {offset} came behind {versions[key]}")
            newest[key] = versions[key] = version
    consumer.unassign()
    return newest, count, broken


def missing(expected, newest):
    """What of the newest versions that were acknowledged is not there: by key, what was expected and what was found."""
    found = []
    for key, version in enumerate(expected):
        if version < 0:
            continue
        # A tombstone may be there or be gone with its key.
        wanted = None if is_tombstone(version) else version
        if newest.get(key) != wanted:
            found.append((key, wanted, newest.get(key)))
    return found
