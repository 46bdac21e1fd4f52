"""What happened, one event a line, as clients and the driver write it down. Times are seconds of the machine's monotonic clock, which all
processes share; a partition is written TOPIC-NUMBER. A record is who produced it and the number it has among that producer's of its partition.

    s PARTITION PRODUCER SEQUENCE                       handed to the client, to be sent
    a PARTITION PRODUCER SEQUENCE OFFSET TIME           acknowledged there
    w PARTITION PRODUCER SEQUENCE TIME                  acknowledged as a duplicate, so that where it lies is not told
    f PARTITION PRODUCER SEQUENCE TIME WHY              failed: it was certainly not written
    u PARTITION PRODUCER SEQUENCE TIME WHY              nobody knows whether it was written
    o SESSION KIND                                      a reader opens: committed, uncommitted, final, or group:NAME
    p SESSION PARTITION OFFSET                          from where that reader reads a partition
    r SESSION PARTITION OFFSET PRODUCER SEQUENCE        it read this
    x SESSION PARTITION OFFSET TIME WHY                 it was told that there is no such offset
    e SESSION PARTITION OFFSET TIME                     it has read all below this, which is the final high watermark
    c GROUP PARTITION OFFSET BEGAN ENDED WHO            a commit that was acknowledged
    g GROUP PARTITION OFFSET BEGAN ENDED WHO            what WHO was told is committed (-1: nothing)
    n FAULT begin|end|healed TIME TARGETS               what the nemesis did
    v TIME WHAT                                         a client saw what must not be

A process that was killed leaves half a line, the last of its file; that is left out.
"""
from array import array

UNKNOWN_FAILURES_SHOWN = 20


class Reads:
    """What one session read of one partition, in its order."""

    def __init__(self):
        self.start, self.offsets, self.records = None, array("q"), array("q")


class Session:
    def __init__(self, name, kind):
        self.name, self.kind, self.partitions = name, kind, {}

    def of(self, partition):
        if partition not in self.partitions:
            self.partitions[partition] = Reads()
        return self.partitions[partition]

    @property
    def group(self):
        return self.kind[len("group:"):] if self.kind.startswith("group:") else None


class Partition:
    def __init__(self):
        # By producer: how many were sent. By record: where it was acknowledged; that it was, without a place; and that it failed.
        self.sent, self.acknowledged, self.written, self.failed = {}, {}, set(), set()
        self.acknowledged_at = array("d")
        self.unknown = 0
        # By final reader: the high watermark it reached.
        self.ends = {}


class Commit:
    __slots__ = ("offset", "began", "ended", "who")

    def __init__(self, offset, began, ended, who):
        self.offset, self.began, self.ended, self.who = int(offset), float(began), float(ended), who


class Fault:
    def __init__(self, name, targets, began):
        self.name, self.targets, self.began, self.ended, self.healed = name, targets, began, None, None


class History:
    def __init__(self):
        self.producers, self._numbers = [], {}
        self.partitions, self.sessions = {}, {}
        # By group and partition.
        self.commits, self.found = {}, {}
        self.faults, self.resets, self.broken = [], [], []
        # Producers that gave up a record: one that has done so may send again, under a new epoch, what was already written (checker.py).
        self.gave_up = set()
        self.failures = {}
        self.lines = 0

    # A record as one number: 2**32 records of one producer in one partition are more than any run sends.
    def record(self, producer, sequence):
        number = self._numbers.get(producer)
        if number is None:
            number = self._numbers[producer] = len(self.producers)
            self.producers.append(producer)
        return number << 32 | int(sequence)

    def shown(self, record):
        return f"{self.producers[record >> 32]}/{record & 0xFFFFFFFF}"

    def partition(self, name):
        if name not in self.partitions:
            self.partitions[name] = Partition()
        return self.partitions[name]

    def read(self, lines):
        for line in lines:
            if not line.endswith("\n"):
                break
            self.add(line.split())
            self.lines += 1
        return self

    def add(self, event):
        kind, *facts = event
        getattr(self, "_" + kind)(*facts)

    def _s(self, partition, producer, sequence):
        sent = self.partition(partition).sent
        number = self.record(producer, 0) >> 32
        sent[number] = max(sent.get(number, 0), int(sequence) + 1)

    def _a(self, partition, producer, sequence, offset, time):
        of = self.partition(partition)
        of.acknowledged[self.record(producer, sequence)] = int(offset)
        of.acknowledged_at.append(float(time))

    def _w(self, partition, producer, sequence, time):
        of = self.partition(partition)
        of.written.add(self.record(producer, sequence))
        of.acknowledged_at.append(float(time))

    def _f(self, partition, producer, sequence, _time, *why):
        self.partition(partition).failed.add(self.record(producer, sequence))
        self._failure("failed", why)

    def _u(self, partition, producer, sequence, _time, *why):
        self.partition(partition).unknown += 1
        self.gave_up.add(self.record(producer, sequence) >> 32)
        self._failure("unknown", why)

    def _failure(self, fate, why):
        key = f"{fate}: {' '.join(why)[:120]}"
        if key in self.failures or len(self.failures) < UNKNOWN_FAILURES_SHOWN:
            self.failures[key] = self.failures.get(key, 0) + 1

    def _o(self, session, kind):
        self.sessions[session] = Session(session, kind)

    def _p(self, session, partition, offset):
        self.partition(partition)
        self.sessions[session].of(partition).start = int(offset)

    def _r(self, session, partition, offset, producer, sequence):
        self.partition(partition)
        reads = self.sessions[session].of(partition)
        reads.offsets.append(int(offset))
        reads.records.append(self.record(producer, sequence))

    def _x(self, session, partition, offset, time, *why):
        self.resets.append((session, partition, int(offset), float(time), " ".join(why)))

    def _e(self, session, partition, offset, _time):
        self.partition(partition).ends[session] = int(offset)

    def _c(self, group, partition, *facts):
        self.commits.setdefault((group, partition), []).append(Commit(*facts))

    def _g(self, group, partition, *facts):
        self.found.setdefault((group, partition), []).append(Commit(*facts))

    def _n(self, name, phase, time, *targets):
        if phase == "begin":
            self.faults.append(Fault(name, " ".join(targets), float(time)))
        elif phase == "end":
            self.faults[-1].ended = float(time)
        else:
            self.faults[-1].healed = float(time)

    def _v(self, _time, *what):
        self.broken.append(" ".join(what))
