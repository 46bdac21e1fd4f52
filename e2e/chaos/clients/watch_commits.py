"""watch_commits.py BOOTSTRAP JOURNAL NAME TOPICS GROUPS: asks all the time what the groups have committed, as somebody who is not a member."""
import sys

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from role import REQUEST_S, Journal, begin, leaving, now, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS, GROUPS = sys.argv[1:6]
EVERY_S = 0.5


def ask(group):
    began = now()
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(*p) for p in partitions])], request_timeout=REQUEST_S).values()
    for p in future.result(REQUEST_S + 5).topic_partitions:
        if p.error is None:
            journal.write("g", group, f"{p.topic}-{p.partition}", max(p.offset, -1), began, now(), NAME)


begin()
journal, partitions = Journal(JOURNAL), list(partitions_of(TOPICS).values())
admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "socket.timeout.ms": REQUEST_S * 1000, "log_level": 3})
while not leaving.wait(EVERY_S):
    for group in GROUPS.split(","):
        try:
            ask(group)
        except KafkaException:
            pass  # the next one is asked soon
    journal.flush()
