"""Groups of the classic protocol: members agree on an assignor, and one of them shares out."""
from crew import Flow
from stage import commits_go, drained, emptied, flowing, numbered, sound, step
from statements import expect, name

EAGER_ONLY = ("kafkajs",)


def cooperative_families(stage):
    return [f for f in stage.families if f not in EAGER_ONLY]


def eager(stage):
    orders, doomed = name("members", "orders"), name("members", "doomed")
    stage.admin.create(orders, 6)
    stage.admin.create(doomed, 2)
    group, flow, all_of = stage.crew("range"), Flow(stage.bootstrap), numbered(orders, 6) | numbered(doomed, 2)
    flow.to(orders, range(6))
    # A producer of its own: one that knows a topic makes it again.
    ending = Flow(stage.bootstrap, per_second=10)
    ending.to(doomed, range(2))
    try:
        @step(group, "range: clients of all families share the partitions, whichever comes when")
        def _():
            # The first leads, and only a leader looks for new partitions, KafkaJS not even then. A KafkaJS that subscribed to a topic
            # that goes would end, and a franz-go that came to lead would go on sharing it out.
            for family in stage.families:
                group.join(family, [orders] if family in ("kafkajs", "franz-go") else [orders, doomed])
                group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: partitions that are added are shared out too")
        def _():
            stage.admin.grow(orders, 9)
            all_of.update(numbered(orders, 9))
            flow.to(orders, range(6, 9))
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: a topic that is deleted leaves the group, and its commits go with it")
        def _():
            ending.stop()
            group.deleted.add(doomed)
            stage.admin.delete(doomed)
            all_of.difference_update(numbered(doomed, 2))
            group.settled(all_of)
            commits_go(group, doomed)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: a member that leaves hands over its partitions, and is gone from the group when it has ended")
        def _():
            for family in ["librdkafka", "kafka-python"]:
                group.members[f"{family}-0"].leave()
                expect("listed still", [], [m.client_id for m in group.described().members if m.client_id == f"{family}-0"])
                group.settled(all_of)
                group.join(family, [orders])
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: a member that is killed is missed after its session timeout, the leader too")
        def _():
            killed = group.members["java-0"]
            killed.kill()
            expect("listed still", [killed.id], [m.member_id for m in group.described().members if m.member_id == killed.id])
            group.settled(all_of)
            group.join("java", [orders])
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: a member that is silent for its session timeout is removed, and comes back when it can speak")
        def _():
            for silent in [group.members["librdkafka-0"], group.members["java-0"]]:
                silent.silence()
                # No word of it for 10 seconds; the others have its partitions then.
                del group.members[silent.name]
                group.settled(all_of)
                group.members[silent.name] = silent
                silent.wake()
                group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        for how, word in [("is restarted", "stop"), ("is killed", "kill")]:
            if stage.broker is None:
                print(f"# left out, for the broker is not ours to end: the broker {how}")
                continue

            @step(group, f"range: the broker {how}: the group goes on, no commit is lost, nothing is owned twice")
            def _():
                stage.restart(word)
                group.settled(all_of)
                flowing(group, all_of)
                sound(group)

        @step(group, "range: in the end every record was read, every commit is kept, with its metadata, and the group is empty")
        def _():
            drained(group, flow)
            sound(group)
            emptied(group)
            sound(group)
    finally:
        group.end()


def cooperative(stage):
    topic, families = name("members", "cooperative"), cooperative_families(stage)
    stage.admin.create(topic, 8)
    group, flow, all_of = stage.crew("cooperative"), Flow(stage.bootstrap), numbered(topic, 8)
    flow.to(topic, range(8))
    try:
        @step(group, "cooperative-sticky: a member that joins takes no partition from another that it does not get to keep")
        def _():
            for family in families:
                had = {m.name: (m, m.assigned, len(m.revoked)) for m in group.members.values()}
                group.join(family, [topic], assignor="cooperative-sticky")
                group.settled(all_of)
                for member, owned, count in had.values():
                    gone = set().union(*member.revoked[count:])
                    expect(f"{member.name} gave back, when {family} came, what it still has", set(), gone & member.assigned)
                    expect(f"{member.name} got, when {family} came", set(), member.assigned - owned)
                    expect(f"{member.name} lost, when {family} came", [], member.lost)
            flowing(group, all_of)
            sound(group)

        @step(group, "cooperative-sticky: those who stay keep what they have when one leaves and one is killed")
        def _():
            for family, way in [(families[-1], "leave"), (families[0], "kill")]:
                had = {m.name: m.assigned for m in group.members.values()}
                getattr(group.members[f"{family}-0"], way)()
                group.settled(all_of)
                for member in group.members.values():
                    expect(f"{member.name} gave back", set(), had[member.name] - member.assigned)
            flowing(group, all_of)
            sound(group)

        @step(group, "cooperative-sticky: in the end every record was read, every commit is kept, and the group is empty")
        def _():
            drained(group, flow)
            sound(group)
            emptied(group)
    finally:
        group.end()


def static(stage):
    topic = name("members", "static")
    stage.admin.create(topic, 6)
    group, flow, all_of = stage.crew("static"), Flow(stage.bootstrap), numbered(topic, 6)
    flow.to(topic, range(6))
    families = cooperative_families(stage)

    def join(family, client=None):
        return group.join(family, [topic], session_ms=120_000, instance=f"instance-{family}", name=client)
    try:
        @step(group, "static members: their group.instance.id is told by describe")
        def _():
            for family in families:
                join(family)
                group.settled(all_of)
            expect("instances", sorted(f"instance-{f}" for f in families), sorted(m.instance for m in group.described().members))
            flowing(group, all_of)

        @step(group, "static members: one that is killed, or closed, and comes back in time has its partitions again, without a rebalance")
        def _():
            for family in families:
                others = {m.name: len(m.assignments) for m in group.members.values() if m.family != family}
                generation, had = max(m.generation for m in group.members.values()), group.members[f"{family}-0"].assigned
                # franz-go's Close leaves the group, as a static member as well; all others stay in it.
                group.members[f"{family}-0"].kill() if family in ("java", "franz-go") else group.members[f"{family}-0"].leave()
                expect("members that are listed", len(families), len(group.described().members))
                again = join(family)
                group.settled(all_of)
                expect(f"{family}: generation", generation, again.generation)
                expect(f"{family}: partitions", had, again.assigned)
                expect(f"{family}: assignments of the others", others, {n: len(group.members[n].assignments) for n in others})
            flowing(group, all_of)
            sound(group)

        @step(group, "static members: a second one of the same group.instance.id fences the first")
        def _():
            for family in [f for f in families if f in ("java", "librdkafka")]:
                first = group.members.pop(f"{family}-0")
                join(family)
                try:
                    first.ended()
                finally:
                    first.kill()
                expect(f"{family}: the first was told that it is fenced", True, first.fenced is not None)
                group.settled(all_of)
            sound(group)

        if stage.broker is not None:
            @step(group, "static members: the broker is killed and comes back within their session timeout: each is the member it was, with its partitions")
            def _():
                # Not the generation: a leader who saw a topic without leaders joins anew, and so does franz-go when its coordinator was away.
                had = {m.name: (m.id, m.assigned) for m in group.members.values()}
                stage.restart("kill")
                group.settled(all_of)
                flowing(group, all_of)
                expect("members and partitions", had, {m.name: (m.id, m.assigned) for m in group.members.values()})
                sound(group)

        @step(group, "static members: in the end every record was read and every commit is kept")
        def _():
            drained(group, flow)
            sound(group)
    finally:
        group.end()
