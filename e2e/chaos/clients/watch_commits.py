"""watch_commits.py BOOTSTRAP JOURNAL NAME TOPICS GROUPS: asks all the time what the groups have committed, as somebody who is not a member."""
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

from role import REQUEST_S, Journal, begin, leaving, now, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS, GROUPS = sys.argv[1:6]
EVERY_S = 0.5


def opened(group):
    # It never subscribes, so it is no member; it asks the coordinator as one would.
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "enable.auto.commit": False, "socket.timeout.ms": REQUEST_S * 1000, "log_level": 3})


def ask(group, consumer):
    began = now()
    for p in consumer.committed([TopicPartition(*p) for p in partitions], timeout=REQUEST_S):
        if p.error is None:
            journal.write("g", group, f"{p.topic}-{p.partition}", max(p.offset, -1), began, now(), NAME)


begin()
journal, partitions = Journal(JOURNAL), list(partitions_of(TOPICS).values())
watched = {group: opened(group) for group in GROUPS.split(",")}
while not leaving.wait(EVERY_S):
    for group, consumer in watched.items():
        try:
            ask(group, consumer)
        except KafkaException:
            pass  # it is asked again soon
    journal.flush()
