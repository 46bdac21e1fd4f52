"""Groups of the newer protocol (group.protocol=consumer, KIP-848): the broker shares out."""
from crew import REMOTE, Flow
from stage import commits_go, drained, emptied, flowing, numbered, patiently, sound, step
from statements import expect, name

UNIFORM = REMOTE + "uniform"


def newer_families(stage):
    return [f for f in stage.families if f in ("java", "librdkafka")]


def newer(stage):
    base, families = name("members", "newer"), newer_families(stage)
    orders, doomed, later = (f"{base}-{hint}" for hint in ("orders", "doomed", "later"))
    by_name, by_expression = [orders, doomed, later], f"^{base}-(orders|doomed|later)"
    stage.admin.create(orders, 6)
    stage.admin.create(doomed, 2)
    group, flow, all_of = stage.crew("newer"), Flow(stage.bootstrap), numbered(orders, 6) | numbered(doomed, 2)
    flow.to(orders, range(6))
    ending = Flow(stage.bootstrap, per_second=10)
    ending.to(doomed, range(2))
    try:
        @step(group, "newer: a member that joins takes no partition from another that it does not get to keep; by names and by expressions")
        def _():
            for topics in (by_name, by_expression):
                for family in families:
                    had = {m.name: (m, m.assigned, len(m.revoked)) for m in group.members.values()}
                    group.join(family, topics, assignor=UNIFORM)
                    group.settled(all_of)
                    for member, owned, count in had.values():
                        back = set().union(*member.revoked[count:])
                        expect(f"{member.name} gave back, when {family} came, what it still has", set(), back & member.assigned)
                        expect(f"{member.name} got, when {family} came", set(), member.assigned - owned)
                        expect(f"{member.name} lost, when {family} came", [], member.lost)
            expect("type", "Consumer", group.described().type)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer: partitions that are added are shared out too")
        def _():
            stage.admin.grow(orders, 9)
            all_of.update(numbered(orders, 9))
            flow.to(orders, range(6, 9))
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer: a topic that is created later is shared out to those who named it and those whose expression it matches")
        def _():
            stage.admin.create(later, 3)
            all_of.update(numbered(later, 3))
            flow.to(later, range(3))
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer: a topic that is deleted leaves the group, and its commits go with it")
        def _():
            ending.stop()
            group.deleted.add(doomed)
            stage.admin.delete(doomed)
            all_of.difference_update(numbered(doomed, 2))
            group.settled(all_of)
            commits_go(group, doomed)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer: a member that leaves hands over its partitions, and is gone from the group when it has ended")
        def _():
            for family in families:
                group.members[f"{family}-new-0"].leave()
                expect("listed still", [], [m.client_id for m in group.described().members if m.client_id == f"{family}-new-0"])
                group.settled(all_of)
                group.join(family, by_name, assignor=UNIFORM)
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer: a member that is killed is missed after its session timeout")
        def _():
            for family in families:
                killed = group.members[f"{family}-new-1"]
                killed.kill()
                expect("listed still", [killed.id], [m.member_id for m in group.described().members if m.member_id == killed.id])
                group.settled(all_of)
                group.join(family, by_expression, assignor=UNIFORM)
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer: a member that is silent for its session timeout is removed, and comes back when it can speak")
        def _():
            for silent in [group.members[f"{family}-new-0"] for family in families]:
                silenced(group, silent, all_of)
            flowing(group, all_of)
            sound(group)

        broker_goes(stage, group, "newer", all_of)

        @step(group, "newer: in the end every record was read, every commit is kept, with its metadata, and the group is empty")
        def _():
            drained(group, flow)
            sound(group)
            emptied(group)
            sound(group)
    finally:
        group.end()


def silenced(group, silent, all_of):
    silent.silence()
    del group.members[silent.name]
    group.settled(all_of)
    group.members[silent.name] = silent
    silent.wake()
    group.settled(all_of)


def broker_goes(stage, group, kind, all_of):
    for how, word in [("is restarted", "stop"), ("is killed", "kill")]:
        if stage.broker is None:
            print(f"# left out, for the broker is not ours to end: the broker {how}")
            continue

        @step(group, f"{kind}: the broker {how}: the group goes on, no commit is lost, nothing is owned twice")
        def _():
            stage.restart(word)
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)


def newer_static(stage):
    topic, families = name("members", "newer-static"), newer_families(stage)
    stage.admin.create(topic, 6)
    group, flow, all_of = stage.crew("newer-static"), Flow(stage.bootstrap), numbered(topic, 6)
    # Long enough for a member to come back on a machine that is busy.
    stage.admin.configure(group.group, consumer_session_timeout_ms=60_000)
    flow.to(topic, range(6))

    def join(family, client=None):
        return group.join(family, [topic], assignor=UNIFORM, instance=f"instance-{family}", name=client)
    try:
        @step(group, "newer, static members: their group.instance.id is told by describe")
        def _():
            for family in families:
                join(family)
                group.settled(all_of)
            expect("instances", sorted(f"instance-{f}" for f in families), sorted(m.instance for m in group.described().members))
            flowing(group, all_of)

        @step(group, "newer, static members: one that is closed and comes back in time has its partitions again, without a rebalance")
        def _():
            for family in families:
                others = {m.name: len(m.assignments) for m in group.members.values() if m.family != family}
                epoch, had = group.described().epoch, group.members[f"{family}-new-0"].assigned
                group.members[f"{family}-new-0"].leave()
                expect("members that are listed", len(families), len(group.described().members))
                again = join(family)
                group.settled(all_of)
                expect(f"{family}: the group's epoch", epoch, group.described().epoch)
                expect(f"{family}: partitions", had, again.assigned)
                expect(f"{family}: assignments of the others", others, {n: len(group.members[n].assignments) for n in others})
            flowing(group, all_of)
            sound(group)

        @step(group, "newer, static members: a second one of the same group.instance.id is refused, and the first goes on")
        def _():
            for family in families:
                second = join(family, client=f"{family}-second")
                del group.members[second.name]
                try:
                    patiently(f"{family}: the second was told that the instance is not released", lambda: second.fenced is None)
                finally:
                    second.kill()
                group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        if stage.broker is not None:
            @step(group, "newer, static members: the broker is killed and comes back, and the group's epoch stays the same")
            def _():
                epoch = group.described().epoch
                stage.restart("kill")
                group.settled(all_of)
                flowing(group, all_of)
                expect("epoch", epoch, group.described().epoch)
                sound(group)

        @step(group, "newer, static members: the instance of one that is killed is released when its session is over")
        def _():
            stage.admin.configure(group.group, consumer_session_timeout_ms=15_000)
            # The next heartbeat of each begins a session of the new length.
            flowing(group, all_of)
            for family in families:
                group.members[f"{family}-new-0"].kill()
                group.settled(all_of)
                join(family)
                group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "newer, static members: in the end every record was read and every commit is kept")
        def _():
            drained(group, flow)
            sound(group)
    finally:
        group.end()
