"""What every scenario stands on: one broker, which may be ended and started again, the families of clients, and what must always be so."""
import os
import subprocess
import sys
import time

from administrator import Administrator
from crew import PATIENCE_S, Crew
from statements import expect, name, states

HERE = os.path.dirname(os.path.abspath(__file__))


class Broker:
    def __init__(self, peer, scratch):
        self._process = subprocess.Popen([os.path.join(HERE, "peer.sh"), peer, os.path.join(scratch, "peer")],
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


class Stage:
    def __init__(self, peer, scratch, bootstrap, families, administrator):
        self.families, self.scratch = families, scratch
        self.broker = None if bootstrap else Broker(peer, scratch)
        self.bootstrap = bootstrap or self.broker.address
        self.admin = Administrator(administrator, self.bootstrap, os.path.join(scratch, "administrator.err"))

    def crew(self, hint):
        return Crew(self.bootstrap, self.admin, self.families, self.scratch, name("members", hint))

    def restart(self, word):
        """`stop` is polite, `kill` is not."""
        began = time.monotonic()
        self.broker.tell(word, "start")
        print(f"# the broker is there again after {time.monotonic() - began:.0f} s", flush=True)

    def end(self):
        self.admin.end()
        if self.broker is not None:
            self.broker.end()


def numbered(topic, count):
    return {f"{topic}:{n}" for n in range(count)}


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


def patiently(what, condition):
    """`condition` says what is still wrong, or nothing."""
    deadline = time.monotonic() + PATIENCE_S
    while why := condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S} s: {what}: {why}")
        time.sleep(0.2)


def sound(of):
    """What must be so at any moment of a group's life."""
    expect("partitions with two readers in one generation", [], of.ledger.twice_owned())
    expect("commits that were forgotten", [], of.ledger.forgotten_commits())
    acknowledged, kept = of.ledger.last_commits(), of.committed()
    for partition, offset in acknowledged.items():
        if partition.rsplit(":", 1)[0] not in of.deleted:
            there = kept[partition].offset if partition in kept else None
            expect(f"the commit of {partition}, {there}, is that acknowledged, {offset}, or newer", True, there is not None and there >= offset)


def flowing(of, partitions):
    """Every partition is read on."""
    seen = {p: of.ledger.reads(p) for p in partitions}
    patiently("all partitions are read on", lambda: [p for p, n in seen.items() if of.ledger.reads(p) == n])


def drained(of, flow):
    ends = {p: end for p, end in flow.stop().items() if p.rsplit(":", 1)[0] not in of.deleted}

    def uncommitted():
        kept = of.committed()
        return {p: (kept[p].offset if p in kept else None, end) for p, end in ends.items() if p not in kept or kept[p].offset != end}
    patiently("all is read and committed", uncommitted)
    expect("records nobody read", {}, of.ledger.unread(ends))
    for p, c in of.committed().items():
        if p in ends:
            expect(f"the metadata of {p}", "by ", c.metadata[:3])


def emptied(of):
    for member in list(of.members.values()):
        member.leave()
    expect("state", "Empty", of.described().state)


def commits_go(of, topic):
    """The topic's commits are gone with it."""
    patiently("its commits are gone", lambda: [p for p in of.committed() if p.startswith(topic + ":")])
