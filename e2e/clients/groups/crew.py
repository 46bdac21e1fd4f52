"""Members of one group, each a process of its own in one of the families of clients, and the coordinator's view of them.

A member is called with `BOOTSTRAP GROUP NAME TOPICS ASSIGNOR SESSION_MS INSTANCE|-`. TOPICS that begin with `^` are one regular
expression. An ASSIGNOR `remote-NAME` is the broker's: the member has group.protocol=consumer, and the broker's session timeout. It reads all it is assigned, commits what it has read
(with metadata `by NAME`), and leaves when a line comes or its input ends. It says, a line each; partitions are `topic:number,...` or `-`:

    assigned GENERATION MEMBER PARTITIONS     all that it owns now; a GENERATION is a member's epoch in the newer protocol
    revoked PARTITIONS, lost PARTITIONS       what it has to give back; what was taken from it
    read GENERATION TOPIC PARTITION FIRST LAST
    committed GENERATION TOPIC PARTITION OFFSET
    refused WHY                               a commit or a poll; it goes on
    fenced WHY                                another has its group.instance.id; it ends
    left
"""
import itertools
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict

from administrator import Refusal, partitions
from confluent_kafka import Producer
from ledger import Ledger

# How long something may take that must happen. A machine that is busy takes its time, and one that is not waits for nothing.
PATIENCE_S = int(os.environ.get("PATIENCE_SECONDS", "240"))
SESSION_MS = 15_000
REMOTE = "remote-"


class Member:
    def __init__(self, crew, family, name, topics, assignor, session_ms, instance):
        self.name, self.family, self.instance, self.is_newer = name, family, instance, assignor.startswith(REMOTE)
        self.assigned, self.generation, self.id = None, None, None
        self.assignments, self.revoked, self.lost, self.fenced, self.left = [], [], [], None, False
        self._crew = crew
        crew.started += 1
        self._log = os.path.join(crew.scratch, f"{crew.group}.{crew.started}.{name}")
        self._errors = open(self._log + ".err", "wb")
        self._process = subprocess.Popen(
            [*crew.families[family], crew.bootstrap, crew.group, name, ",".join(topics), assignor, str(session_ms), instance or "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self):
        with open(self._log + ".out", "w") as said:
            for line in self._process.stdout:
                said.write(f"{time.monotonic():.3f} {line}")
                said.flush()
                self._hear(line.split())

    def _hear(self, words):
        kind, rest = words[0], words[1:]
        ledger = self._crew.ledger
        if kind == "assigned":
            self.generation, self.id, self.assigned = int(rest[0]), rest[1], partitions(rest[2])
            self.assignments.append((self.generation, self.assigned))
        elif kind == "revoked":
            self._gave(self.revoked, partitions(rest[0]))
        elif kind == "lost":
            self._gave(self.lost, partitions(rest[0]))
        elif kind == "read":
            ledger.read(self.instance or self.name, int(rest[0]), f"{rest[1]}:{rest[2]}", int(rest[3]), int(rest[4]))
        elif kind == "committed":
            ledger.committed(int(rest[0]), f"{rest[1]}:{rest[2]}", int(rest[3]))
        elif kind == "fenced":
            self.fenced = " ".join(rest)
        elif kind == "left":
            self.left = True

    def _gave(self, kept, some):
        kept.append(some)
        self.assigned = (self.assigned or set()) - some

    def leave(self):
        self._process.stdin.write("leave\n")
        self._process.stdin.flush()
        self.ended()

    def ended(self):
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {PATIENCE_S} s") from None
        self._listener.join(PATIENCE_S)
        if self._crew.members.get(self.name) is self:
            del self._crew.members[self.name]
        return code

    def kill(self):
        self._process.kill()
        self.ended()

    def silence(self):
        self._process.send_signal(signal.SIGSTOP)

    def wake(self):
        self._process.send_signal(signal.SIGCONT)

    def ends_by_itself(self):
        return self._process.poll() is not None


class Crew:
    """The members of one group."""

    def __init__(self, bootstrap, admin, families, scratch, group):
        self.bootstrap, self.admin, self.families, self.scratch, self.group = bootstrap, admin, families, scratch, group
        self.members, self.ledger, self.started = {}, Ledger(), 0
        self.deleted, self.state = set(), "holds"

    def join(self, family, topics, assignor="range", session_ms=SESSION_MS, instance=None, name=None):
        """`topics` is a list of names, or a regular expression that begins with `^`."""
        stem = f"{family}-new" if assignor.startswith(REMOTE) else family
        name = name or next(name for name in (f"{stem}-{n}" for n in itertools.count()) if name not in self.members)
        topics = [topics] if isinstance(topics, str) else topics
        member = Member(self, family, name, topics, assignor, session_ms, instance)
        self.members[name] = member
        return member

    def described(self):
        return self.admin.describe(self.group)

    def settled(self, expected):
        """Waits until the members that are there share the expected partitions, and they and the coordinator agree who has which."""
        deadline = time.monotonic() + PATIENCE_S
        while why := self._unsettled(set(expected)):
            if time.monotonic() > deadline:
                raise AssertionError(f"not settled within {PATIENCE_S} s: {why}")
            time.sleep(0.2)

    def _unsettled(self, expected):
        for member in self.members.values():
            if member.ends_by_itself():
                raise AssertionError(f"{member.name} ended by itself, with {member.ended()}")
        try:
            group = self.described()
        except Refusal as refusal:
            return f"the group is not described: {refusal}"
        if group.state != "Stable":
            return f"the group is {group.state}"
        told = {m.client_id: m.owned for m in group.members}
        if len(group.members) != len(self.members) or told.keys() != self.members.keys():
            return f"its members are {sorted(m.client_id for m in group.members)}, not {sorted(self.members)}"
        owned = [p for some in told.values() for p in some]
        if len(owned) != len(set(owned)):
            raise AssertionError(f"the coordinator gave a partition to two members: {told}")
        if set(owned) != expected:
            return f"owned are {sorted(owned)}, not {sorted(expected)}"
        for name, some in told.items():
            if self.members[name].assigned != some:
                return f"{name} says that it owns {sorted(self.members[name].assigned or [])}, the coordinator {sorted(some)}"
        if wrong := [m.client_id for m in group.members if m.protocol and (m.protocol == "consumer") != self.members[m.client_id].is_newer]:
            raise AssertionError(f"the coordinator takes the protocol of {wrong} for the other one")
        return None

    def committed(self):
        """Asked for as often as it takes: a broker that has just started loads its groups."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.admin.offsets(self.group)
            except Refusal as refusal:
                if time.monotonic() > deadline:
                    raise AssertionError(f"the commits are not told within {PATIENCE_S} s: {refusal}") from None
                time.sleep(0.2)

    def end(self):
        """Whatever is still there."""
        for member in list(self.members.values()):
            member.wake()
            member.kill()


class Flow:
    """Writes to partitions in turn, all the time; what is acknowledged must be read."""

    def __init__(self, bootstrap, per_second=60):
        # A broker that is away for long is waited for; nothing is written twice.
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                   "log.connection.close": False, "message.timeout.ms": 240_000, "reconnect.backoff.max.ms": 1_000, "log_level": 0})
        self._lock, self._targets, self._running = threading.Lock(), [], True
        self._pause = 1 / per_second
        self.ends, self.failures = defaultdict(int), []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def to(self, topic, numbers):
        self._producer.list_topics(topic, timeout=PATIENCE_S)  # it may know fewer partitions
        with self._lock:
            self._targets += [(topic, n) for n in numbers]

    def _told(self, error, message):
        if error:
            self.failures.append(error.str())
        else:
            name = f"{message.topic()}:{message.partition()}"
            self.ends[name] = max(self.ends[name], message.offset() + 1)

    def _run(self):
        count = 0
        while self._running:
            with self._lock:
                if self._targets:
                    topic, number = self._targets[count % len(self._targets)]
                    self._producer.produce(topic, str(count).encode(), partition=number, on_delivery=self._told)
                    count += 1
            self._producer.poll(self._pause)
            time.sleep(self._pause)

    def stop(self):
        """Gives the ends of the partitions, when all that was sent is acknowledged."""
        self._running = False
        self._thread.join()
        left = self._producer.flush(PATIENCE_S)
        if left or self.failures:
            raise AssertionError(f"{left} records are not acknowledged; refused: {self.failures[:3]}")
        return dict(self.ends)
