"""Hurts a cluster and heals it again, in an order that its seed decides. Between two faults every replica is in sync again: with at most a
minority hurt at a time nothing that was acknowledged may be lost, and that holds only for nodes that have recovered."""
import random
import time

from admin import Unanswered
from faults import FAULTS, LASTS, Majority, Reassign, Transfer

# All replicas in sync again after a fault is over: Kafka's session timeout, and what it takes a JVM to start on a busy machine.
RECOVER_S = 180
# After a disk was full, before somebody restarts the node: Kafka gives up its folder and does not come back by itself.
REPAIR_AFTER_S = 20
REST_S = (1, 5)
# How often a fault falls on a node that matters most, and leaders are moved while somebody is hurt.
AIMED, TOGETHER = 0.6, 0.2


class Nemesis:
    def __init__(self, cluster, admin, topics, replication, groups, journal, seed, weights, majority, crowd=None):
        self.cluster, self.network, self.admin, self.topics, self.replication = cluster, cluster.network, admin, topics, replication
        self.groups, self.journal, self.random, self.majority, self.crowd = groups, journal, random.Random(seed), majority, crowd
        self.weights = {name: weights.get(name, fault.weight) for name, fault in FAULTS.items() if self.possible(fault)}
        self.troubles = []

    def possible(self, fault):
        return (self.network.cuts or not fault.wants_cuts) and (self.cluster.disks or not fault.wants_disks) and \
            (self.network.can_slow() or not fault.wants_slow)

    def say(self, text):
        print("#", time.strftime("%H:%M:%S"), text, flush=True)

    def trouble(self, what):
        """Something that a system must not do."""
        self.say(what)
        self.troubles.append(what)

    def granted(self, what, refused):
        """A cluster that is hurt may refuse; and so may one that does not know the request, which is seen by its saying so every time."""
        if refused:
            self.say(f"{what} was refused: {refused[0]}" + (f", and {len(refused) - 1} more" if len(refused) > 1 else ""))
        return not refused

    def asked(self, question):
        try:
            return question()
        except Unanswered as refusal:
            self.say(f"the cluster does not answer: {refusal}")
            return None

    def write(self, *facts):
        self.journal.write("n", *facts)
        self.journal.flush()

    def run(self, seconds, meanwhile):
        """Faults for so long. `meanwhile` is called all the time."""
        self.meanwhile, until = meanwhile, time.monotonic() + seconds
        count = 0
        while time.monotonic() < until:
            self.once()
            count += 1
            self.wait(self.random.uniform(*REST_S))
        return count

    def run_calm(self, seconds, meanwhile):
        self.meanwhile = meanwhile
        self.wait(seconds)
        return 0

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.meanwhile()
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))

    def once(self):
        # All of these are drawn whatever the cluster answers, so that a seed means the same faults in the same order.
        if self.random.random() < self.majority:
            kind, size = Majority, len(self.cluster.nodes) // 2 + 1
        else:
            kind = FAULTS[self.random.choices(list(self.weights), list(self.weights.values()))[0]]
            size = self.random.randint(1, max(1, (len(self.cluster.nodes) - 1) // 2))
        if self.crowd:
            size = min(self.crowd, len(self.cluster.nodes))
        lasts, aim, together = self.random.uniform(*LASTS[kind.name]), self.random.random(), self.random.random()
        order = self.random.sample(sorted(self.cluster.nodes), len(self.cluster.nodes))
        target = self.aimed(aim) or order[0]
        targets = [target, *(node for node in order if node != target)][:size]
        administrative = kind in (Transfer, Reassign)
        fault = kind(self, [] if administrative else targets)
        named = "-" if administrative else ",".join(map(str, sorted(targets)))
        self.say(f"{kind.name} {named} for {lasts:.0f} s")
        self.write(kind.name, "begin", f"{time.monotonic():.6f}", named)
        begun = time.monotonic()
        try:
            self.asked(fault.hurt)
            if not administrative and together < TOGETHER:
                self.wait(lasts / 3)
                self.say("and leaders are moved meanwhile")
                self.asked(Transfer(self, []).hurt)
            self.wait(lasts - (time.monotonic() - begun))
        finally:
            self.ended_by_themselves(fault)
            fault.heal()
        self.write(kind.name, "end", f"{time.monotonic():.6f}")
        self.recover(fault)
        self.write(kind.name, "healed", f"{time.monotonic():.6f}")

    def aimed(self, draw):
        """The metadata's leader, a partition's, or a group's coordinator; nobody when it cannot be said."""
        if draw >= AIMED:
            return None
        choice = int(draw / AIMED * 3)
        try:
            if choice == 0:
                return self.admin.metadata_leader()
            if choice == 1:
                return self.admin.coordinator(self.groups[0])
            leader, _, _ = next(iter(self.admin.topics(self.topics[:1]).values()))
            return leader if leader in self.cluster.nodes else None
        except Unanswered:
            return None

    def ended_by_themselves(self, fault):
        for number, node in self.cluster.nodes.items():
            if node.process.poll() is not None and not (number in fault.targets and fault.name in ("kill", "majority", "restart", "wipe")):
                if fault.name == "full-disk" and number in fault.targets:
                    self.say(f"node {number} ended with {node.process.returncode} when its disk was full")
                else:
                    self.trouble(f"node {number} ended by itself, with {node.process.returncode}, during {fault.name} {fault.targets}")

    def recover(self, fault):
        begun, repaired = time.monotonic(), False
        while True:
            for number, node in self.cluster.nodes.items():
                if not node.running():
                    if fault.name != "full-disk":
                        self.trouble(f"node {number} ended by itself, with {node.process.returncode}, after {fault.name} {fault.targets}")
                    self.cluster.start(number)
            self.meanwhile()
            amiss = self.admin.in_sync(self.topics)
            passed = time.monotonic() - begun
            if not amiss:
                self.say(f"in sync again after {passed:.1f} s")
                return
            if fault.name == "full-disk" and passed > REPAIR_AFTER_S and not repaired:
                repaired = True
                self.say("not in sync though there is room again: the node is restarted")
                for number in fault.targets:
                    self.cluster.stop(number)
                    self.cluster.start(number)
            if passed > RECOVER_S:
                self.trouble(f"not in sync within {RECOVER_S} s of the end of {fault.name} {fault.targets}: {amiss}")
                return
            time.sleep(0.3)
