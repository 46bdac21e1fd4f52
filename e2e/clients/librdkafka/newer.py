"""newer.py BOOTSTRAP PEER: what librdkafka expects of Kafka with group.protocol=consumer."""
import time

from peer import admin, consumer, refused, result, send, topic
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic
from statements import PATIENCE_S, end, eventually, expect, name, states


class Member:
    """Notes what its callbacks are told, in a list that several may share."""

    def __init__(self, group, label, told=None, before_revoked=None, **settings):
        self.label, self.told, self.before_revoked = label, [] if told is None else told, before_revoked
        self.read, self.errors, self.texts = [], [], []
        self.reader = consumer(group_protocol="consumer", group_id=group, client_id=label, metadata_max_age_ms=3_000,
                               topic_metadata_refresh_interval_ms=1_000, **settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()

    def subscribed(self, *topics):
        self.reader.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        return self

    def _assigned(self, reader, partitions):
        reader.incremental_assign(partitions)
        self.told.append((self.label, "assigned", names(partitions)))

    def _revoked(self, reader, partitions):
        if self.before_revoked:
            self.before_revoked()
        self.told.append((self.label, "revoked", names(partitions)))
        reader.incremental_unassign(partitions)

    def _lost(self, reader, partitions):
        self.told.append((self.label, "lost", names(partitions)))
        reader.incremental_unassign(partitions)

    def turn(self):
        message = self.reader.poll(0.05)
        if message is not None and message.error():
            self.errors.append(message.error().name())
            self.texts.append(message.error().str())
        elif message is not None:
            self.read.append(message)

    @property
    def owned(self):
        return names(self.reader.assignment())

    def owning(self, *expected):
        until(f"it owns {sorted(expected)}", lambda: self.owned == set(expected), self)
        return self

    def commit(self, of, partition, offset):
        (told,) = self.reader.commit(offsets=[TopicPartition(of, partition, offset)], asynchronous=False)
        return told.error and told.error.name()


def names(partitions):
    return {f"{p.topic}-{p.partition}" for p in partitions}


def all_of(of, count):
    return [f"{of}-{p}" for p in range(count)]


def until(what, condition, *members):
    """Polls them in turn until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for member in members:
            member.turn()
        if condition():
            return
        if time.monotonic() > deadline:
            seen = ", ".join(f"{m.label} owns {sorted(m.owned)}, {m.errors[-3:]}" for m in members)
            raise AssertionError(f"not within {PATIENCE_S} s: {what}, but {seen}")


def committed(group):
    told = result(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    return {p.partition: p.offset for p in told.topic_partitions}


def described(group):
    return result(admin.describe_consumer_groups([group]))


def halves(*members):
    return lambda: all(len(m.owned) == 2 for m in members)


@states("newer: a member that subscribes by names gets all their partitions, and reads on at the commit")
def _():
    one, two, group = topic("names", 2), topic("names"), name("librdkafka", "group")
    send([{"topic": one, "partition": 0, "value": str(i).encode()} for i in range(10)])
    with Member(group, "m").subscribed(one, two).owning(*all_of(one, 2), *all_of(two, 1)) as member:
        until("it reads them", lambda: len(member.read) == 10, member)
        expect("refusal", None, member.commit(one, 0, 7))
    with Member(group, "m").subscribed(one, two) as member:
        until("it reads on", lambda: len(member.read) == 3, member)
        expect("first", 7, member.read[0].offset())


@states("newer: an expression, which the broker evaluates, finds what is there and what comes later, and names beside it as well")
def _():
    stem, named, group = name("librdkafka", "regex"), topic("beside"), name("librdkafka", "group")

    def create(hint, partitions):
        result(admin.create_topics([NewTopic(f"{stem}-{hint}", partitions, 1)]))
    create("1", 2)
    with Member(group, "m").subscribed(f"^{stem}-[[:digit:]]+", named) as member:
        member.owning(*all_of(f"{stem}-1", 2), *all_of(named, 1))
        create("x", 1)
        create("2", 1)
        member.owning(*all_of(f"{stem}-1", 2), *all_of(f"{stem}-2", 1), *all_of(named, 1))


@states("newer: an expression that RE2 cannot read is refused for good: INVALID_REGULAR_EXPRESSION")
def _():
    # librdkafka reads it first, and knows what RE2 does not: a reference back.
    with Member(name("librdkafka", "group"), "m").subscribed(r"^(a)\1") as member:
        until("the refusal", lambda: member.errors, member)
        expect("the refusal", ({"_FATAL"}, True), (set(member.errors), "expression" in member.texts[0]))


@states("newer: partitions that are added are assigned, and none is given back for it; those of a deleted topic are revoked")
def _():
    of, other, group = topic("growing", 2), topic("stays"), name("librdkafka", "group")
    with Member(group, "m").subscribed(of, other).owning(*all_of(of, 2), *all_of(other, 1)) as member:
        result(admin.create_partitions([NewPartitions(of, 4)]))
        member.owning(*all_of(of, 4), *all_of(other, 1))
        expect("given back", [], [t for t in member.told if t[1] != "assigned"])
        result(admin.delete_topics([of]))
        member.owning(*all_of(other, 1))
        expect("told last", ("m", "revoked", set(all_of(of, 4))), [t for t in member.told if t[2]][-1])


@states("newer: a partition is revoked from its owner, who may still commit it, before another is assigned it; nothing else moves")
def _():
    of, group, told, refusals = topic("handover", 4), name("librdkafka", "group"), [], []
    with Member(group, "first", told).subscribed(of).owning(*all_of(of, 4)) as first:
        had = first.owned
        first.before_revoked = lambda: refusals.append(first.commit(of, 3, 33))
        with Member(group, "second", told).subscribed(of) as second:
            until("each has its half", halves(first, second), first, second)
            gone = had - first.owned
            expect("told", [("first", "assigned", had), ("first", "revoked", gone), ("second", "assigned", gone)], [t for t in told if t[2]])
            expect("refusals", [None], refusals)
            expect("commit", {3: 33}, committed(group))


@states("newer: group.remote.assignor=range gives the same numbers of each topic to one member; uniform balances over all topics")
def _():
    for assignor, partitions, each in (("range", 2, 2), ("uniform", 1, 1)):
        one, two, group = topic(assignor, partitions), topic(assignor, partitions), name("librdkafka", "group")
        with Member(group, "a", group_remote_assignor=assignor).subscribed(one, two) as a, \
                Member(group, "b", group_remote_assignor=assignor).subscribed(one, two) as b:
            until(f"{assignor}: each has {each}", lambda: len(a.owned) == each and len(b.owned) == each, a, b)
            expect("assignor", assignor, described(group).partition_assignor)
            if assignor == "range":
                expect("numbers", {1}, {len({p.partition for p in m.reader.assignment()}) for m in (a, b)})


@states("newer: an assignor the broker does not have is refused for good: UNSUPPORTED_ASSIGNOR")
def _():
    of = topic("nonsense")
    with Member(name("librdkafka", "group"), "m", group_remote_assignor="nonsense").subscribed(of) as member:
        until("the refusal", lambda: member.errors, member)
        expect("the refusal", ({"_FATAL"}, True), (set(member.errors), "assignor" in member.texts[0]))


@states("newer: close and unsubscribe leave at once")
def _():
    of, group = topic("leave", 4), name("librdkafka", "group")
    with Member(group, "stays").subscribed(of) as stays:
        with Member(group, "goes").subscribed(of) as goes:
            until("each has two", halves(stays, goes), stays, goes)
        expect("members", 1, len(described(group).members))
        stays.owning(*all_of(of, 4))
        stays.reader.unsubscribe()
        until("it has left", lambda: not described(group).members, stays)
        expect("owned", set(), stays.owned)
        stays.subscribed(of).owning(*all_of(of, 4))
    expect("state", ConsumerGroupState.EMPTY, described(group).state)


@states("newer: a static member that is closed and comes back has its partitions without a rebalance")
def _():
    of, group = topic("static", 4), name("librdkafka", "group")
    with Member(group, "other").subscribed(of) as other:
        with Member(group, "m", group_instance_id="one").subscribed(of) as member:
            until("each has two", halves(other, member), other, member)
            had = member.owned
        told = len(other.told)
        expect("members", 2, len(described(group).members))
        with Member(group, "m", group_instance_id="one").subscribed(of) as member:
            until("it has them again", lambda: member.owned == had, other, member)
            expect("told to the other", told, len(other.told))


@states("newer: a second member of one group.instance.id is refused, and the first goes on")
def _():
    of, group = topic("unreleased"), name("librdkafka", "group")
    with Member(group, "first", group_instance_id="one").subscribed(of).owning(*all_of(of, 1)) as first, \
            Member(group, "second", group_instance_id="one").subscribed(of) as second:
        until("the refusal", lambda: second.errors, first, second)
        expect("the refusal", ({"_FATAL"}, True), (set(second.errors), "instance" in second.texts[0]))
        expect("a commit of the first", None, first.commit(of, 0, 1))


@states("newer: whoever is not a member commits nothing in a group that has members")
def _():
    of, group = topic("outsider"), name("librdkafka", "group")
    with Member(group, "m").subscribed(of).owning(*all_of(of, 1)):
        outsider = consumer(group_id=group)
        try:
            refused("UNKNOWN_MEMBER_ID", lambda: outsider.commit(offsets=[TopicPartition(of, 0, 5)], asynchronous=False))
        finally:
            outsider.close()
        expect("commits", {}, committed(group))


@states("newer: a member that did not poll for max.poll.interval.ms is out, and comes back")
def _():
    of, group = topic("slow", 2), name("librdkafka", "group")
    with Member(group, "slow", max_poll_interval_ms=3_000).subscribed(of).owning(*all_of(of, 2)) as slow:
        eventually("it is out", lambda: not described(group).members)
        until("it is told that it owns them no more", lambda: [t for t in slow.told if t[1] != "assigned"], slow)
        slow.owning(*all_of(of, 2))
        expect("a commit", None, slow.commit(of, 0, 3))


@states("newer: describe tells the type, the state, the assignor and the members with what they own; list finds the group by them")
def _():
    of, group = topic("describe", 3), name("librdkafka", "group")
    with Member(group, "described", group_instance_id="one").subscribed(of).owning(*all_of(of, 3)) as member:
        eventually("it is stable", lambda: described(group).state == ConsumerGroupState.STABLE)
        told = described(group)
        expect("type", ConsumerGroupType.CONSUMER, told.type)
        expect("assignor", "uniform", told.partition_assignor)
        (one,) = told.members
        expect("member", ("described", "one", member.reader.memberid(), "/127.0.0.1"),
               (one.client_id, one.group_instance_id, one.member_id, one.host))
        expect("owned", {0, 1, 2}, {p.partition for p in one.assignment.topic_partitions})
        expect("to own", {0, 1, 2}, {p.partition for p in one.target_assignment.topic_partitions})

        def listed(**filters):
            return group in [g.group_id for g in admin.list_consumer_groups(**filters).result(PATIENCE_S).valid]
        expect("listed", (True, False, True, False),
               (listed(types={ConsumerGroupType.CONSUMER}), listed(types={ConsumerGroupType.CLASSIC}),
                listed(states={ConsumerGroupState.STABLE}), listed(states={ConsumerGroupState.EMPTY})))


@states("newer: offsets are altered, and a group is deleted, when it has no members, and not before")
def _():
    of, group = topic("alter"), name("librdkafka", "group")

    def alter(offset):
        try:
            told = result(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(of, 0, offset)])]))
        except KafkaException as refusal:
            return refusal.args[0].name()
        return told.topic_partitions[0].error and told.topic_partitions[0].error.name()
    with Member(group, "m").subscribed(of).owning(*all_of(of, 1)):
        expect("with a member", "UNKNOWN_MEMBER_ID", alter(1))
        refused("NON_EMPTY_GROUP", lambda: result(admin.delete_consumer_groups([group])))
    expect("without", None, alter(42))
    expect("offsets", {0: 42}, committed(group))
    result(admin.delete_consumer_groups([group]))
    expect("offsets", {}, committed(group))


end()
