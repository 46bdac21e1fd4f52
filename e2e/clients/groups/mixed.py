"""Members of both protocols in one group: it becomes one of the newer protocol while it runs, and a classic one again."""
from classic import cooperative_families
from crew import Flow
from newer import UNIFORM, broker_goes, newer_families, silenced
from stage import commits_go, drained, emptied, flowing, numbered, sound, step
from statements import expect, name


def mixed(stage):
    _mixed(stage, "range", list(stage.families))


def mixed_cooperative(stage):
    # kafka-python says that it owns what it lost, gives nothing back then, and what is to move stays without an owner.
    _mixed(stage, "cooperative-sticky", [f for f in cooperative_families(stage) if f != "kafka-python"])


def _mixed(stage, assignor, families):
    kind, newer = f"mixed with {assignor}", newer_families(stage)
    orders, doomed = name("members", "mixed"), name("members", "mixed-doomed")
    stage.admin.create(orders, 8)
    stage.admin.create(doomed, 2)
    group, flow, all_of = stage.crew("mixed"), Flow(stage.bootstrap), numbered(orders, 8) | numbered(doomed, 2)
    flow.to(orders, range(8))
    ending = Flow(stage.bootstrap, per_second=10)
    ending.to(doomed, range(2))

    def topics(family):
        # A KafkaJS that subscribed to a topic that goes would end, and a franz-go that came to lead would go on sharing it out.
        return [orders] if family in ("kafkajs", "franz-go") or doomed in group.deleted else [orders, doomed]

    def settle_and_flow():
        group.settled(all_of)
        flowing(group, all_of)
        sound(group)

    try:
        @step(group, f"{kind}: a classic group becomes one of the newer protocol when the first such member joins, and goes on")
        def _():
            # The first leads. Where librdkafka led with cooperative-sticky, its assignments would have user data, and Kafka takes no such group.
            for family in sorted(families, key=lambda family: family != "java"):
                group.join(family, topics(family), assignor=assignor)
                if family == "java":
                    group.settled(all_of)
            group.settled(all_of)
            expect("type", "Classic", group.described().type)
            for family in newer:
                group.join(family, topics(family), assignor=UNIFORM)
                group.settled(all_of)
                expect("type", "Consumer", group.described().type)
            settle_and_flow()

        @step(group, f"{kind}: partitions that are added are shared out too")
        def _():
            stage.admin.grow(orders, 12)
            all_of.update(numbered(orders, 12))
            flow.to(orders, range(8, 12))
            settle_and_flow()

        @step(group, f"{kind}: a topic that is deleted leaves the group, and its commits go with it")
        def _():
            ending.stop()
            group.deleted.add(doomed)
            stage.admin.delete(doomed)
            all_of.difference_update(numbered(doomed, 2))
            group.settled(all_of)
            commits_go(group, doomed)
            settle_and_flow()

        @step(group, f"{kind}: members of both protocols leave, are killed and come back")
        def _():
            for way in ("leave", "kill"):
                for family in newer:
                    for member in (f"{family}-0", f"{family}-new-0"):
                        was = group.members[member]
                        getattr(was, way)()
                        group.settled(all_of)
                        group.join(family, topics(family), assignor=UNIFORM if was.is_newer else assignor)
                        group.settled(all_of)
            settle_and_flow()

        @step(group, f"{kind}: members of both protocols that are silent for their session timeout are removed, and come back")
        def _():
            for silent in (group.members["librdkafka-0"], group.members["java-new-0"]):
                silenced(group, silent, all_of)
            settle_and_flow()

        broker_goes(stage, group, kind, all_of)

        @step(group, f"{kind}: the classic members are replaced one by one, until none is left")
        def _():
            for n, old in enumerate([m for m in group.members.values() if not m.is_newer]):
                old.leave()
                family = newer[n % len(newer)]
                group.join(family, topics(family), assignor=UNIFORM)
                group.settled(all_of)
            expect("classic members", [], [m.client_id for m in group.described().members if m.protocol != "consumer"])
            settle_and_flow()

        @step(group, f"{kind}: back again, one by one: with the last member of the newer protocol the group is a classic one")
        def _():
            for n, old in enumerate(list(group.members.values())):
                family = families[n % len(families)]
                group.join(family, topics(family), assignor=assignor)
                group.settled(all_of)
                expect("type", "Consumer", group.described().type)
                old.leave()
                group.settled(all_of)
            expect("type", "Classic", group.described().type)
            settle_and_flow()

        @step(group, f"{kind}: in the end every record was read, every commit is kept, with its metadata, and the group is empty")
        def _():
            drained(group, flow)
            sound(group)
            emptied(group)
            sound(group)
    finally:
        group.end()
