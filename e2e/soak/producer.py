"""producer.py BOOTSTRAP TOPIC PARTITIONS ID RATE: numbers its records in each partition, RATE of them a second (0: as fast as they go)."""
import sys

from confluent_kafka import Producer

from role import CHUNK, HEAD, PADDING, Pace, Sender, begin, leaving, say

BOOTSTRAP, TOPIC = sys.argv[1:3]
PARTITIONS, ID = int(sys.argv[3]), int(sys.argv[4])
RATE = float(sys.argv[5])
# Another producer id every minute: a broker that kept them all would grow.
REOPEN_S = 60

begin()
sender, pace = Sender(BOOTSTRAP, Producer, REOPEN_S), Pace(RATE)
sent, partition = [0] * PARTITIONS, ID % PARTITIONS
while not leaving.is_set():
    if not pace.due(CHUNK):
        sender.rest(0.02)
        continue
    first = sent[partition]
    for number in range(first, first + CHUNK):
        sender.send(TOPIC, HEAD.pack(ID, number) + PADDING, partition)
    sent[partition] += CHUNK
    pace.sent += CHUNK
    partition = (partition + 1) % PARTITIONS
    sender.rest(0)
sender.settle()
say("sent", topic=TOPIC, producer=ID, records=sent, refused=sender.refused)
