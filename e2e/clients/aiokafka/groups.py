"""Members of groups, the offsets they commit, and groups as an administrator sees them, by aiokafka."""
import asyncio

from peer import admin, consumer, eventually, numbered, poll, send, states, topic
from aiokafka import ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import OffsetAndMetadata
from statements import expect, name


def run():
    async def until_owned(reader, count):
        async def owns():
            await reader.getmany(timeout_ms=50)
            return len(reader.assignment()) == count
        await eventually(f"the member owns {count} partitions", owns)

    async def member(group, of, **settings):
        reader = await consumer(group_id=group, session_timeout_ms=10_000, heartbeat_interval_ms=500, metadata_max_age_ms=2_000, **settings)
        reader.subscribe([of])
        return reader

    @states("groups: a commit is read back with its metadata, and a member that comes later reads on there")
    async def resumed():
        of, group = await topic("resume", 2), name("aiokafka", "group")
        await send(numbered(of, 10))
        partition = TopicPartition(of, 0)
        reader = await member(group, of)
        try:
            expect("first read", list(range(10)), [m.offset for m in await poll(reader, 10)])
            await reader.commit({partition: OffsetAndMetadata(7, "schön ✓")})
        finally:
            await reader.stop()
        kept = await admin.list_consumer_group_offsets(group)
        expect("the administrator's view", {partition: (7, "schön ✓")}, {p: (k.offset, k.metadata) for p, k in kept.items()})
        reader = await member(group, of)
        try:
            expect("read again", [7, 8, 9], [m.offset for m in await poll(reader, 3)])
            expect("committed", (7, None), (await reader.committed(partition), await reader.committed(TopicPartition(of, 1))))
            await reader.seek_to_committed(partition)
            expect("after seek_to_committed", 7, await reader.position(partition))
        finally:
            await reader.stop()

    @states("groups: auto-commit keeps what was read when the member leaves")
    async def automatic():
        of, group = await topic("auto"), name("aiokafka", "group")
        await send(numbered(of, 20))
        reader = await member(group, of, enable_auto_commit=True, auto_commit_interval_ms=100_000)
        try:
            await poll(reader, 20)
        finally:
            await reader.stop()
        kept = await admin.list_consumer_group_offsets(group)
        expect("committed", [20], [k.offset for k in kept.values()])

    for assignor in (RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor):
        @states(f"groups: {assignor.name}: a second member gets half of the partitions, and gives them back when it leaves")
        async def rebalanced():
            of, group = await topic("shared", 4), name("aiokafka", "group")
            told = []

            class Listener(ConsumerRebalanceListener):
                async def on_partitions_revoked(self, revoked):
                    told.append(("revoked", len(revoked)))

                async def on_partitions_assigned(self, assigned):
                    told.append(("assigned", len(assigned)))
            first = await member(group, of, partition_assignment_strategy=[assignor])
            second = None
            try:
                first.subscribe([of], listener=Listener())
                await until_owned(first, 4)
                second = await member(group, of, partition_assignment_strategy=[assignor])
                await asyncio.gather(until_owned(first, 2), until_owned(second, 2))
                expect("shared out", 4, len(first.assignment() | second.assignment()))
                await send([r for p in range(4) for r in numbered(of, 5, p)])
                ours, theirs = await asyncio.gather(poll(first, 10), poll(second, 10))
                expect("everything is read once", {(p, o) for p in range(4) for o in range(5)}, {(m.partition, m.offset) for m in ours + theirs})
                await second.stop()
                second = None
                await until_owned(first, 4)
                expect("what the listener heard", [("assigned", 4), ("revoked", 4), ("assigned", 2), ("revoked", 2), ("assigned", 4)], told[-5:])
            finally:
                await first.stop()
                if second:
                    await second.stop()

    @states("groups: a pattern of names finds topics that come later")
    async def pattern():
        one, group = await topic("pattern"), name("aiokafka", "group")
        base = one.rsplit("-", 1)[0]
        reader = await consumer(group_id=group, metadata_max_age_ms=500)
        try:
            reader.subscribe(pattern=f"^{base}-.*$")
            await until_owned(reader, 1)
            await topic("pattern")
            await until_owned(reader, 2)
        finally:
            await reader.stop()

    @states("groups: a static member that comes back within its session keeps its member's place without a rebalance of others")
    async def static():
        of, group = await topic("static", 2), name("aiokafka", "group")
        one = await member(group, of, group_instance_id="one")
        two = await member(group, of, group_instance_id="two")
        try:
            await asyncio.gather(until_owned(one, 1), until_owned(two, 1))
            kept, others = one.assignment(), two.assignment()
            await one.stop()
            one = await member(group, of, group_instance_id="one")
            await until_owned(one, 1)
            expect("what it owns again", kept, one.assignment())
            expect("what the other owns", others, two.assignment())
        finally:
            await one.stop()
            await two.stop()

    @states("groups: describe tells the state, the assignor and the members; the group is listed; unknown is Dead")
    async def described():
        of, group = await topic("describe", 3), name("aiokafka", "group")

        async def seen(of_group):
            (answer,) = await admin.describe_consumer_groups([of_group])
            (told,) = answer.groups
            return told
        reader = await member(group, of, client_id="described", partition_assignment_strategy=[RangePartitionAssignor])
        try:
            await until_owned(reader, 3)
            told = await seen(group)
            expect("code, name, state, type, assignor", (0, group, "Stable", "consumer", "range"), tuple(told[:5]))
            (one,) = told[5]
            expect("client id and host", ("described", "/127.0.0.1"), tuple(one[-4:-2]))
            expect("listed", True, (group, "consumer") in [tuple(g[:2]) for g in await admin.list_consumer_groups()])
        finally:
            await reader.stop()

        async def empty():
            return (await seen(group))[2] == "Empty"
        await eventually("the group is empty when its member has left", empty)
        expect("state of what nobody knows", "Dead", (await seen(name("aiokafka", "nobody")))[2])

    @states("groups: the coordinator of a group is the broker")
    async def coordinator():
        expect("coordinator", (await admin.describe_cluster())["controller_id"], await admin.find_coordinator(name("aiokafka", "group")))

    @states("groups: the commit of a member that polled too late and was replaced is refused, and changes nothing")
    async def fenced():
        of, group = await topic("fenced"), name("aiokafka", "group")
        first = await member(group, of, max_poll_interval_ms=1_500)
        try:
            await until_owned(first, 1)
            await send(numbered(of, 3))
            second = await member(group, of)
            try:
                # The first does not poll any more: it leaves the group, and the second gets everything.
                await until_owned(second, 1)
                try:
                    await first.commit({TopicPartition(of, 0): 1})
                    raise AssertionError("it was accepted")
                except (errors.CommitFailedError, errors.IllegalStateError):
                    pass  # it was told, or knew by then that it owns nothing
                expect("committed", {}, await admin.list_consumer_group_offsets(group))
            finally:
                await second.stop()
        finally:
            await first.stop()
