"""A member of a group that says what happens to it; groups/crew.py tells what it is called with and what the lines mean."""
import logging
import os
import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

BOOTSTRAP, GROUP, NAME, TOPICS, ASSIGNOR, SESSION_MS, INSTANCE = sys.argv[1:8]
ASSIGNORS = {"range": RangePartitionAssignor, "cooperative-sticky": CooperativeStickyAssignor}
logging.basicConfig(level=logging.WARNING)
leaving = threading.Event()


def say(*words):
    print(*words, flush=True)


def commands():
    sys.stdin.readline()
    leaving.set()


def text(partitions):
    return ",".join(f"{p.topic}:{p.partition}" for p in partitions) or "-"


class Listener(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        group = consumer.group_metadata()
        say("assigned", group.generation_id, group.member_id, text(consumer.assignment()))

    def on_partitions_revoked(self, revoked):
        say("revoked", text(revoked))

    def on_partitions_lost(self, lost):
        say("lost", text(lost))


settings = {}
if INSTANCE != "-":
    settings["group_instance_id"] = INSTANCE
consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=GROUP, client_id=NAME, partition_assignment_strategy=[ASSIGNORS[ASSIGNOR]],
                         session_timeout_ms=int(SESSION_MS), heartbeat_interval_ms=1000, metadata_max_age_ms=2000,
                         auto_offset_reset="earliest", enable_auto_commit=False, allow_auto_create_topics=False, **settings)
consumer.subscribe(TOPICS.split(","), listener=Listener())
threading.Thread(target=commands, daemon=True).start()
while not leaving.is_set():
    try:
        batches = consumer.poll(timeout_ms=200)
        generation = consumer.group_metadata().generation_id
        offsets = {}
        for p, records in batches.items():
            say("read", generation, p.topic, p.partition, records[0].offset, records[-1].offset)
            offsets[p] = OffsetAndMetadata(records[-1].offset + 1, "by " + NAME, -1)
        if offsets:
            consumer.commit(offsets)
            for p, committed in offsets.items():
                say("committed", generation, p.topic, p.partition, committed.offset)
    except errors.FencedInstanceIdError as fenced:
        say("fenced", type(fenced).__name__)
        sys.stdout.flush()
        os._exit(3)
    except errors.KafkaError as refusal:
        say("refused", type(refusal).__name__)
consumer.close()
say("left")
