"""A member of a group that says what happens to it; groups/crew.py tells what it is called with and what the lines mean."""
import os
import struct
import sys
import threading

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

BOOTSTRAP, GROUP, NAME, TOPICS, ASSIGNOR, SESSION_MS, INSTANCE = sys.argv[1:8]
# Before the name of an assignor that is the broker's: such a member has group.protocol=consumer.
REMOTE = "remote-"
NEWER = ASSIGNOR.startswith(REMOTE)
COOPERATIVE = NEWER or ASSIGNOR == "cooperative-sticky"
leaving = threading.Event()


def say(*words):
    print(*words, flush=True)


def commands():
    sys.stdin.readline()
    leaving.set()


def generation():
    # The bytes are said to be opaque; there is no other way to learn it. "CGMDv2:", then the generation.
    metadata = consumer.consumer_group_metadata()
    return struct.unpack_from("=i", metadata, 7)[0]


def text(partitions):
    return ",".join(f"{p.topic}:{p.partition}" for p in partitions) or "-"


def assigned(_, partitions):
    consumer.incremental_assign(partitions) if COOPERATIVE else consumer.assign(partitions)
    say("assigned", generation(), consumer.memberid(), text(consumer.assignment()))


def revoked(_, partitions):
    say("revoked", text(partitions))
    consumer.incremental_unassign(partitions) if COOPERATIVE else consumer.unassign()


def lost(_, partitions):
    say("lost", text(partitions))
    consumer.incremental_unassign(partitions) if COOPERATIVE else consumer.unassign()


def refused(error):
    if error.fatal() or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
        say("fenced", error.name())
        os._exit(3)  # closing would wait for a group that does not want it
    say("refused", error.name())


settings = {"bootstrap.servers": BOOTSTRAP, "group.id": GROUP, "client.id": NAME, "topic.metadata.refresh.interval.ms": 2000,
            "metadata.max.age.ms": 6000, "auto.offset.reset": "earliest", "enable.auto.commit": False, "log.connection.close": False}
if NEWER:
    # Time-outs are the broker's matter.
    settings |= {"group.protocol": "consumer", "group.remote.assignor": ASSIGNOR.removeprefix(REMOTE)}
else:
    settings |= {"partition.assignment.strategy": ASSIGNOR, "session.timeout.ms": int(SESSION_MS), "heartbeat.interval.ms": 1000}
if INSTANCE != "-":
    settings["group.instance.id"] = INSTANCE
consumer = Consumer(settings)
consumer.subscribe(TOPICS.split(","), on_assign=assigned, on_revoke=revoked, on_lost=lost)
threading.Thread(target=commands, daemon=True).start()
while not leaving.is_set():
    message = consumer.poll(0.2)
    if message is None:
        continue
    if message.error():
        refused(message.error())
        continue
    now, topic, partition, offset = generation(), message.topic(), message.partition(), message.offset()
    say("read", now, topic, partition, offset, offset)
    try:
        consumer.commit(offsets=[TopicPartition(topic, partition, offset + 1, "by " + NAME)], asynchronous=False)
        say("committed", now, topic, partition, offset + 1)
    except KafkaException as refusal:
        refused(refusal.args[0])
consumer.close()
say("left")
