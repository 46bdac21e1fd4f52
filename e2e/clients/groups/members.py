"""members.py PEER SCRATCH [BOOTSTRAP] -- FAMILY=COMMAND...: what clients of several families expect of Kafka when they are in one group.

The broker is its own, for it is ended and started again; with BOOTSTRAP it is not, and what needs that is left out. SCENARIOS names some of eager, cooperative, static."""
import os
import shlex
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, ".."))
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient, NewPartitions
from crew import PATIENCE_S, Crew, Flow, create, led
from statements import end, eventually, expect, name, states

before, after = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
PEER, SCRATCH, BOOTSTRAP = before[0], before[1], before[2] if len(before) > 2 else None
FAMILIES = {family: shlex.split(command) for family, command in (text.split("=", 1) for text in after)}
COOPERATIVE = [f for f in FAMILIES if f != "kafkajs"]  # KafkaJS knows eager assignors only


class Broker:
    def __init__(self):
        self._process = subprocess.Popen([os.path.join(HERE, "peer.sh"), PEER, os.path.join(SCRATCH, "peer")],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            sys.exit("the broker did not start")

    def tell(self, *words):
        for word in words:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
            expect(f"the answer to {word}", "done", self._process.stdout.readline().strip())

    def end(self):
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


broker = None if BOOTSTRAP else Broker()
bootstrap = BOOTSTRAP or broker.address


def administrator():
    return AdminClient({"bootstrap.servers": bootstrap, "log.connection.close": False, "log_level": 0})


admin = administrator()
print(f"# clients of {len(FAMILIES)} families in one group ({', '.join(FAMILIES)}) against {PEER}")


def numbered(topic, count):
    return {f"{topic}:{n}" for n in range(count)}


def crew(hint):
    return Crew(bootstrap, admin, FAMILIES, SCRATCH, name("members", hint))


def step(of, statement):
    """States it of the group, unless the group is already not what the statement begins with."""
    def tried(body):
        def whole():
            expect("what the statement begins with, the one before it,", "holds", of.state)
            of.state = "does not hold"
            body()
            of.state = "holds"
        return states(statement)(whole)
    return tried


def sound(of):
    """What must be so at any moment of a group's life."""
    expect("partitions with two readers in one generation", [], of.ledger.twice_owned())
    expect("commits that were forgotten", [], of.ledger.forgotten_commits())
    acknowledged, kept = of.ledger.last_commits(), of.committed()
    for partition, offset in acknowledged.items():
        if partition.rsplit(":", 1)[0] not in of.deleted:
            there = kept[partition].offset if partition in kept else None
            expect(f"the commit of {partition}, {there}, is that acknowledged, {offset}, or newer", True, there is not None and there >= offset)


def restarted(of, word):
    began = time.monotonic()
    broker.tell(word, "start")
    of.admin = administrator()  # one that saw the broker killed may time out for ever, whichever broker it is
    print(f"# the broker is there again after {time.monotonic() - began:.0f} s", flush=True)


def flowing(of, partitions):
    """Every partition is read on."""
    seen = {p: of.ledger.reads(p) for p in partitions}
    deadline = time.monotonic() + PATIENCE_S
    while still := [p for p, n in seen.items() if of.ledger.reads(p) == n]:
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing was read within {PATIENCE_S} s from {still}")
        time.sleep(0.1)


def drained(of, flow):
    ends = {p: end for p, end in flow.stop().items() if p.rsplit(":", 1)[0] not in of.deleted}
    eventually("all is read and committed", lambda: {p: c.offset for p, c in of.committed().items() if p in ends} == ends)
    expect("records nobody read", {}, of.ledger.unread(ends))
    for p, c in of.committed().items():
        expect(f"the metadata of {p}", "by ", c.metadata[:3])


def emptied(of):
    for member in list(of.members.values()):
        member.leave()
    expect("state", ConsumerGroupState.EMPTY, of.described().state)


def eager():
    orders, doomed = name("members", "orders"), name("members", "doomed")
    create(admin, orders, 6)
    create(admin, doomed, 2)
    group, flow, all_of = crew("range"), Flow(bootstrap), numbered(orders, 6) | numbered(doomed, 2)
    flow.to(orders, range(6))
    # A producer of its own: one that knows a topic makes it again.
    ending = Flow(bootstrap, per_second=10)
    ending.to(doomed, range(2))
    try:
        @step(group, "range: clients of all families share the partitions, whichever comes when")
        def _():
            # The first leads, and only a leader looks for new partitions, KafkaJS not even then. A KafkaJS that subscribed to a topic
            # that goes would end, and a franz-go that came to lead would go on sharing it out.
            for family in FAMILIES:
                group.join(family, [orders] if family in ("kafkajs", "franz-go") else [orders, doomed])
                group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: partitions that are added are shared out too")
        def _():
            (future,) = admin.create_partitions([NewPartitions(orders, 9)]).values()
            future.result(PATIENCE_S)
            led(admin, orders, 9)
            all_of.update(numbered(orders, 9))
            flow.to(orders, range(6, 9))
            group.settled(all_of)
            flowing(group, all_of)
            sound(group)

        @step(group, "range: a topic that is deleted leaves the group, and its commits go with it")
        def _():
            ending.stop()
            group.deleted.add(doomed)
            (future,) = admin.delete_topics([doomed]).values()
            future.result(PATIENCE_S)
            all_of.difference_update(numbered(doomed, 2))
            group.settled(all_of)
            eventually("its commits are gone", lambda: not [p for p in group.committed() if p.startswith(doomed + ":")])
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
            if broker is None:
                print(f"# left out, for the broker is not ours to end: the broker {how}")
                continue

            @step(group, f"range: the broker {how}: the group goes on, no commit is lost, nothing is owned twice")
            def _():
                restarted(group, word)
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


def cooperative():
    topic = name("members", "cooperative")
    create(admin, topic, 8)
    group, flow, all_of = crew("cooperative"), Flow(bootstrap), numbered(topic, 8)
    flow.to(topic, range(8))
    try:
        @step(group, "cooperative-sticky: a member that joins takes no partition from another that it does not get to keep")
        def _():
            for family in COOPERATIVE:
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
            for family, way in [(COOPERATIVE[-1], "leave"), (COOPERATIVE[0], "kill")]:
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


def static():
    topic = name("members", "static")
    create(admin, topic, 6)
    group, flow, all_of = crew("static"), Flow(bootstrap), numbered(topic, 6)
    flow.to(topic, range(6))
    families = [f for f in COOPERATIVE]

    def join(family, client=None):
        return group.join(family, [topic], session_ms=120_000, instance=f"instance-{family}", name=client)
    try:
        @step(group, "static members: their group.instance.id is told by describe")
        def _():
            for family in families:
                join(family)
                group.settled(all_of)
            expect("instances", sorted(f"instance-{f}" for f in families), sorted(m.group_instance_id for m in group.described().members))
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

        if broker is not None:
            @step(group, "static members: the broker is restarted within their session timeout, and the generation stays the same")
            def _():
                generation = {m.name: m.generation for m in group.members.values()}
                restarted(group, "kill")
                group.settled(all_of)
                flowing(group, all_of)
                expect("generations", generation, {m.name: m.generation for m in group.members.values()})
                sound(group)

        @step(group, "static members: in the end every record was read and every commit is kept")
        def _():
            drained(group, flow)
            sound(group)
    finally:
        group.end()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is running is ended first
started = time.monotonic()
try:
    chosen = os.environ.get("SCENARIOS", "eager,cooperative,static").split(",")
    for scenario in [scenario for scenario in [eager, cooperative, static] if scenario.__name__ in chosen]:
        scenario()
        print(f"# {scenario.__name__}: {time.monotonic() - started:.0f} s", flush=True)
finally:
    if broker is not None:
        broker.end()
end()
