"""keyed.py BOOTSTRAP TOPIC PARTITIONS KEYS RATE: writes version after version of a bounded set of keys, a tombstone now and then."""
import random
import sys

from confluent_kafka import Producer

from compacted import encode, is_tombstone, place
from role import CHUNK, HEAD, PADDING, Pace, Sender, begin, leaving, say

BOOTSTRAP, TOPIC = sys.argv[1:3]
PARTITIONS, KEYS = int(sys.argv[3]), int(sys.argv[4])
RATE = float(sys.argv[5])
REOPEN_S = 60

begin()
sender, pace = Sender(BOOTSTRAP, Producer, REOPEN_S), Pace(RATE)
# -1: never written.
newest, written = [-1] * KEYS, 0
chance = random.Random(42)
while not leaving.is_set():
    if not pace.due(CHUNK):
        sender.rest(0.02)
        continue
    for _ in range(CHUNK):
        # Few keys are written often, and many seldom.
        key = int(chance.random() ** 2 * KEYS)
        newest[key] = version = newest[key] + 1
        value = None if is_tombstone(version) else HEAD.pack(key, version) + PADDING
        sender.send(TOPIC, value, place(key, PARTITIONS), encode(key, version))
    pace.sent += CHUNK
    written += CHUNK
    sender.rest(0)
sender.settle()
say("newest", topic=TOPIC, versions=newest, written=written, refused=sender.refused)
