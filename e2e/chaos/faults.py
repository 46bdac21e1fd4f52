"""What the nemesis can do to a cluster. Each fault names its targets, hurts them, and takes all of it back when it is told to."""
import random
import time

# How long a fault lasts, seconds: both shorter and longer than Kafka takes to miss a broker (9).
LASTS = {"kill": (1, 15), "pause": (2, 20), "cut": (4, 25), "isolate": (4, 25), "deaf": (4, 25), "mute": (4, 25), "pair": (4, 25), "slow": (5, 20),
         "restart": (0, 2), "full-disk": (5, 15), "wipe": (0, 12), "majority": (1, 10), "transfer": (0, 2), "reassign": (0, 2)}
# A move that takes longer is cancelled.
MOVE_S = 40
MOVED_PARTITIONS = 4


class Fault:
    # How often it is chosen beside the others, and whether a minority may be chosen from.
    weight, wants_cuts, wants_disks, wants_slow = 1.0, False, False, False

    def __init__(self, nemesis, targets):
        self.cluster, self.network, self.admin, self.nemesis, self.targets = nemesis.cluster, nemesis.network, nemesis.admin, nemesis, targets
        # Its own, so that how much it draws changes nothing for the next fault.
        self.random = random.Random(nemesis.random.getrandbits(64))

    def hurt(self):
        raise NotImplementedError

    def heal(self):
        pass

    @property
    def others(self):
        return [node for node in self.cluster.nodes if node not in self.targets]


class Kill(Fault):
    """kill -9, and started again."""
    name = "kill"
    weight = 3.0

    def hurt(self):
        for node in self.targets:
            self.cluster.kill(node)

    def heal(self):
        for node in self.targets:
            self.cluster.start(node)


class Majority(Kill):
    name = "majority"
    weight = 0.0  # by --majority


class Pause(Fault):
    """SIGSTOP and SIGCONT: it does not know that time has passed."""
    name = "pause"
    weight = 2.0

    def hurt(self):
        for node in self.targets:
            self.cluster.pause(node)

    def heal(self):
        for node in self.targets:
            self.cluster.resume(node)


class Cut(Fault):
    """The cable is pulled."""
    name = "cut"
    weight, wants_cuts = 1.5, True

    def hurt(self):
        for node in self.targets:
            self.network.unplug(node)

    def heal(self):
        for node in self.targets:
            self.network.plug(node)


class Isolate(Fault):
    """No node hears it and it hears none, but clients still reach it: what it serves now may be stale."""
    name = "isolate"
    weight, wants_cuts = 1.5, True

    def hurt(self):
        for node in self.targets:
            for other in self.others:
                self.network.cut(node, other)
                self.network.cut(other, node)

    def heal(self):
        self.network.heal()


class Deaf(Isolate):
    """It speaks to the other nodes and does not hear them."""
    name = "deaf"
    weight = 0.75

    def hurt(self):
        for node in self.targets:
            for other in self.others:
                self.network.cut(other, node)


class Mute(Isolate):
    """It hears the other nodes, and none hears it."""
    name = "mute"
    weight = 0.75

    def hurt(self):
        for node in self.targets:
            for other in self.others:
                self.network.cut(node, other)


class Pair(Isolate):
    """Two nodes lose one another, and everybody else sees both."""
    name = "pair"

    def hurt(self):
        node, other = self.targets[0], self.random.choice(self.others)
        self.network.cut(node, other)
        self.network.cut(other, node)


class Slow(Fault):
    name = "slow"
    weight, wants_slow = 1.0, True

    def hurt(self):
        for node in self.targets:
            self.network.slow(node)

    def heal(self):
        for node in self.targets:
            self.network.quick(node)


class Restart(Fault):
    """SIGTERM, and started again: the planned way."""
    name = "restart"
    weight = 1.5

    def hurt(self):
        for node in self.targets:
            if not self.cluster.stop(node):
                self.nemesis.trouble(f"node {node} did not end after SIGTERM and was killed")

    def heal(self):
        for node in self.targets:
            self.cluster.start(node)


class FullDisk(Fault):
    name = "full-disk"
    weight, wants_disks = 1.0, True

    def hurt(self):
        for node in self.targets:
            self.cluster.fill(node)

    def heal(self):
        for node in self.targets:
            self.cluster.free(node)


class Wipe(Fault):
    """Its volume is gone: it comes back under its number with an empty one."""
    name = "wipe"
    weight = 1.0

    def hurt(self):
        for node in self.targets:
            self.cluster.kill(node)

    def heal(self):
        for node in self.targets:
            self.cluster.wipe(node)
            self.cluster.start(node)


class Transfer(Fault):
    """Another replica is preferred and elected, for some partitions. Nobody is hurt."""
    name = "transfer"
    weight = 1.0

    def hurt(self):
        state = self.admin.topics(self.nemesis.topics)
        moves = {}
        for partition in self.random.sample(sorted(state), min(MOVED_PARTITIONS, len(state))):
            _, replicas, _ = state[partition]
            turn = self.random.randrange(1, len(replicas)) if len(replicas) > 1 else 0
            moves[partition] = replicas[turn:] + replicas[:turn]
        if self.nemesis.granted("a reassignment", self.admin.reassign(moves)):
            self.nemesis.granted("an election", self.admin.elect_preferred())


class Reassign(Fault):
    """Replicas move to other nodes; where there are none to move to, one is taken away and comes back."""
    name = "reassign"
    weight = 1.0

    def hurt(self):
        self.chosen, self.factor = [], self.nemesis.replication
        state = self.admin.topics(self.nemesis.topics)
        chosen = self.random.sample(sorted(state), min(MOVED_PARTITIONS, len(state)))
        self.chosen, nodes = chosen, sorted(self.cluster.nodes)
        self.move({partition: self.random.sample(nodes, self.factor - (len(nodes) == self.factor)) for partition in chosen})

    def move(self, moves):
        if not self.nemesis.granted("a reassignment", self.admin.reassign(moves)):
            return
        deadline = time.monotonic() + MOVE_S
        while time.monotonic() < deadline:
            state = self.nemesis.asked(lambda: self.admin.topics(self.nemesis.topics))
            if state and all(sorted(state[partition][1]) == sorted(replicas) for partition, replicas in moves.items()):
                return
            time.sleep(0.5)
        self.nemesis.say(f"a reassignment did not come to its end within {MOVE_S} s and is cancelled")
        self.nemesis.granted("cancelling a reassignment", self.admin.reassign(dict.fromkeys(moves)))

    def heal(self):
        nodes = sorted(self.cluster.nodes)
        if self.chosen and len(nodes) == self.factor:
            self.move({partition: self.random.sample(nodes, self.factor) for partition in self.chosen})


FAULTS = {fault.name: fault for fault in (Kill, Pause, Cut, Isolate, Deaf, Mute, Pair, Slow, Restart, FullDisk, Wipe, Transfer, Reassign, Majority)}
