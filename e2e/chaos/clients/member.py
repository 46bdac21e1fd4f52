"""member.py BOOTSTRAP JOURNAL NAME TOPICS GROUP ASSIGNOR: a member of a group; ASSIGNOR is range, cooperative-sticky, or consumer (that protocol).

It asks itself what is committed, and says from where it reads. What it has read is in its journal before it is committed.
"""
import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from role import REQUEST_S, Journal, begin, decode, leaving, now, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS, GROUP, ASSIGNOR = sys.argv[1:7]
NEWER = ASSIGNOR == "consumer"
INCREMENTAL = ASSIGNOR != "range"
COMMIT_S = 0.5


class Owned:
    def __init__(self, session, start):
        self.session, self.next, self.committed = session, start, start


def name_of(p):
    return f"{p.topic}-{p.partition}"


def committed(partitions):
    """As of now; asked until somebody answers."""
    while True:
        began = now()
        try:
            found = consumer.committed(partitions, timeout=REQUEST_S)
            if not any(p.error for p in found):
                break
        except KafkaException as refusal:
            print(f"{NAME}: {refusal}", file=sys.stderr, flush=True)
        if leaving.is_set():
            return None
        time.sleep(0.2)
    for p in found:
        journal.write("g", GROUP, name_of(p), max(p.offset, -1), began, now(), NAME)
    return found


def assigned(_, partitions):
    global sessions
    found = committed(partitions) if partitions else []
    if found is None:
        return
    for p in found:
        sessions += 1
        start = max(p.offset, 0)
        session = f"{NAME}.{sessions}"
        journal.write("o", session, f"group:{GROUP}")
        journal.write("p", session, name_of(p), start)
        owned[name_of(p)] = Owned(session, start)
        p.offset = start
    consumer.incremental_assign(found) if INCREMENTAL else consumer.assign(found)


def commit():
    due = [TopicPartition(*partitions[name], owner.next) for name, owner in owned.items() if owner.next > owner.committed]
    if not due:
        return
    journal.flush()
    began = now()
    try:
        done = consumer.commit(offsets=due, asynchronous=False)
    except KafkaException as refusal:
        print(f"{NAME}: not committed: {refusal}", file=sys.stderr, flush=True)
        return
    ended = now()
    for p in done:
        if p.error is None:
            journal.write("c", GROUP, name_of(p), p.offset, began, ended, NAME)
            if name_of(p) in owned:
                owned[name_of(p)].committed = p.offset
    journal.flush()


def forget(partitions):
    for p in partitions:
        owned.pop(name_of(p), None)
    consumer.incremental_unassign(partitions) if INCREMENTAL else consumer.unassign()


def revoked(_, partitions):
    commit()
    forget(partitions)


def lost(_, partitions):
    forget(partitions)


begin()
journal, partitions, owned, sessions = Journal(JOURNAL), partitions_of(TOPICS), {}, 0
settings = {"bootstrap.servers": BOOTSTRAP, "group.id": GROUP, "client.id": NAME, "enable.auto.commit": False, "auto.offset.reset": "error",
            "check.crcs": True, "fetch.wait.max.ms": 200, "socket.timeout.ms": REQUEST_S * 1000, "topic.metadata.refresh.interval.ms": 5000, "log_level": 3}
settings |= {"group.protocol": "consumer"} if NEWER else \
    {"partition.assignment.strategy": ASSIGNOR, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
consumer = Consumer(settings)
consumer.subscribe(sorted({topic for topic, _ in partitions.values()}), on_assign=assigned, on_revoke=revoked, on_lost=lost)
commit_at = 0.0
while not leaving.is_set():
    # One at a time: what comes after a rebalance does not come with what came before it.
    message = consumer.poll(0.2)
    if message is not None:
        if error := message.error():
            if error.code() == error._AUTO_OFFSET_RESET:
                name = f"{message.topic()}-{message.partition()}"
                # librdkafka does not say which offset it had come to.
                journal.write("x", NAME, name, owned[name].next if name in owned else -1, now(), error.str())
            print(f"{NAME}: {error}", file=sys.stderr, flush=True)
            if error.fatal():
                sys.exit(f"{NAME} cannot go on: {error}")
        else:
            name = f"{message.topic()}-{message.partition()}"
            owner, record = owned.get(name), decode(name, message.value())
            if record is None:
                journal.broken(f"{NAME} read bytes that nobody wrote at {message.offset()} of {name}: {message.value()[:60]}")
            elif owner is not None:
                journal.write("r", owner.session, name, message.offset(), *record)
                owner.next = message.offset() + 1
    if time.monotonic() > commit_at:
        commit()
        commit_at = time.monotonic() + COMMIT_S
commit()
consumer.close()
journal.flush()
