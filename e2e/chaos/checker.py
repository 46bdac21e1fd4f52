"""Judges a history, in the manner of Jepsen's workload for Kafka. Pure: a history in, what must not be in it out.

Topics are neither compacted nor cut, and nobody writes transactions, so all that was ever seen must be there at the end, and:

    lost                 acknowledged, and at its offset there is nothing, or something else
    duplicated           one record at two offsets
    inconsistent         two records seen at one offset, by any reader or producer at any time
    vanished             read at an offset where there is nothing at the end: it was not committed when it was read
    reordered            of one producer in one partition, a later record lies before an earlier one, or was acknowledged there
    non_monotonic_read   a reader came to an offset that is not behind the one before
    skipped              a reader passed over an offset that holds a record
    phantom              read, though nobody sent it, or though its producer was told that it was not written
    reset                a reader was told that there is no such offset as the one it came to
    stale_commit         a group was told an offset below one whose commit was acknowledged before it asked, or committed behind the end
    unread               a group has committed an offset that is behind a record none of its members was given
    unfinished           the last readers did not come to the end: nothing can be said of what lies behind
    broken               a client saw what cannot be: bytes that nobody wrote, a failure it may not have

Idempotence is promised to a producer that does not give up. Clients whose delivery timeout has passed raise their epoch and send what is left
of their queue anew, written or not; librdkafka does so against Apache Kafka. What such a producer doubles or reorders is counted, but not as found.
"""
from bisect import bisect_left

KINDS = ("lost", "duplicated", "inconsistent", "vanished", "reordered", "non_monotonic_read", "skipped", "phantom", "reset", "stale_commit",
         "unread", "unfinished", "broken")
EXAMPLES = 10


class Findings:
    """How often each kind was found, and the first of them in words."""

    def __init__(self):
        self.counts, self.examples = dict.fromkeys(KINDS, 0), {kind: [] for kind in KINDS}
        # Doubled or reordered by producers that had given up before.
        self.of_those_who_gave_up = 0

    def add(self, kind, what):
        self.counts[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(what)

    def found(self):
        return {kind: count for kind, count in self.counts.items() if count}


def check(history):
    findings = Findings()
    for name in sorted(history.partitions):
        _Log(history, name, findings).check()
    for session, partition, offset, _, why in history.resets:
        findings.add("reset", f"{partition}: {session} came to {offset} and was told: {why}")
    for what in history.broken:
        findings.add("broken", what)
    for key in sorted(history.found.keys() | history.commits.keys()):
        _commits(history, *key, findings)
    return findings


class _Log:
    """One partition."""

    def __init__(self, history, name, findings):
        self.history, self.name, self.findings = history, name, findings
        self.partition = history.partitions[name]
        self.reads = [(session, session.partitions[name]) for session in history.sessions.values() if name in session.partitions]
        # What was seen first at an offset, by whomever; and what is there at the end.
        self.seen, self.final = {}, {}

    def add(self, kind, what):
        self.findings.add(kind, f"{self.name}: {what}")

    def check(self):
        self.read_to_the_end()
        self.observe()
        self.what_was_acknowledged()
        self.what_lies_where()
        self.order()
        for session, reads in self.reads:
            self.session(session, reads)
        for group in sorted({session.group for session, _ in self.reads if session.group}):
            self.read_by_group(group)

    def read_to_the_end(self):
        for session, reads in self.reads:
            if session.kind == "final":
                self.final.update(zip(reads.offsets, reads.records))
        finals = [session for session in self.history.sessions.values() if session.kind == "final"]
        ends = [self.partition.ends.get(session.name) for session in finals]
        if not finals or None in ends:
            self.add("unfinished", f"{ends.count(None)} of {len(finals)} last readers did not come to the end")
        self.end = max((end for end in ends if end is not None), default=None)

    def observe(self):
        told = set()
        for who, offset, record in self.observations():
            first = self.seen.setdefault(offset, record)
            if first != record and (offset, record) not in told:
                told.add((offset, record))
                self.add("inconsistent", f"at {offset} {who} saw {self.shown(record)} where {self.shown(first)} was seen")

    def observations(self):
        """The final readers go first: what others saw is compared with theirs."""
        for session, reads in sorted(self.reads, key=lambda of: of[0].kind != "final"):
            for offset, record in zip(reads.offsets, reads.records):
                yield session.name, offset, record
        for record, offset in self.partition.acknowledged.items():
            yield "its producer", offset, record

    def what_was_acknowledged(self):
        if self.end is None:
            return
        for record, offset in self.partition.acknowledged.items():
            there = self.final.get(offset)
            if there != record:
                found = self.shown(there) if there is not None else "nothing" if offset < self.end else f"the end, {self.end}"
                self.add("lost", f"{self.shown(record)} was acknowledged at {offset}, and {found} is there")
        there = set(self.final.values()) if self.partition.written else ()
        for record in self.partition.written:
            if record not in there:
                self.add("lost", f"{self.shown(record)} was acknowledged as written before, and is nowhere")
        told = set()
        for session, reads in self.reads:
            for offset, record in zip(reads.offsets, reads.records):
                if offset not in self.final and offset not in told:
                    told.add(offset)
                    self.add("vanished", f"{session.name} read {self.shown(record)} at {offset}, and nothing is there")

    def what_lies_where(self):
        places = {}
        for _, offset, record in self.observations():
            places.setdefault(record, set()).add(offset)
        for record, offsets in places.items():
            if len(offsets) > 1:
                self.of_a_producer(record, "duplicated", f"{self.shown(record)} at {sorted(offsets)}")
            if record & 0xFFFFFFFF >= self.partition.sent.get(record >> 32, 0):
                self.add("phantom", f"nobody sent {self.shown(record)}, which is at {min(offsets)}")
            elif record in self.partition.failed:
                self.add("phantom", f"{self.shown(record)} is at {min(offsets)}, though its producer was told that it was not written")

    def order(self):
        """By offset, each producer's sequences grow: in what is there at the end, and in what it was told."""
        last = {}
        for offset in sorted(self.final):
            self.next_in_order(last, self.final[offset], offset, "lies")
        last = {}
        for record, offset in sorted(self.partition.acknowledged.items(), key=lambda item: item[1]):
            self.next_in_order(last, record, offset, "was acknowledged")

    def next_in_order(self, last, record, offset, how):
        before, at = last.get(record >> 32, (-1, None))
        if record < before:
            self.of_a_producer(record, "reordered", f"{self.shown(record)} {how} at {offset}, behind {self.shown(before)} at {at}")
        if record > before:
            last[record >> 32] = record, offset

    def session(self, session, reads):
        # From its start on: a reader without one is judged from its first record on.
        previous = None if reads.start is None or reads.start < 0 else reads.start - 1
        for offset in reads.offsets:
            if previous is not None:
                if offset <= previous:
                    self.add("non_monotonic_read", f"{session.name} came to {offset} after {previous}")
                else:
                    self.passed_over(session.name, range(previous + 1, offset))
            previous = offset
        if session.kind == "final" and self.partition.ends.get(session.name) is not None:
            self.passed_over(session.name, range((-1 if previous is None else previous) + 1, self.partition.ends[session.name]))

    def passed_over(self, who, offsets):
        missed = [offset for offset in offsets if offset in self.seen]
        if missed:
            self.add("skipped", f"{who} passed over {len(missed)} records from {missed[0]}, {self.shown(self.seen[missed[0]])}")

    def read_by_group(self, group):
        committed = max((commit.offset for commit in self.history.commits.get((group, self.name), ())), default=0)
        given = set()
        for session, reads in self.reads:
            if session.group == group:
                given.update(reads.offsets)
        missed = sorted(offset for offset in self.seen if offset < committed and offset not in given)
        if missed:
            self.add("unread", f"{group} has committed {committed}, and {len(missed)} records from {missed[0]} were given to nobody")

    def of_a_producer(self, record, kind, what):
        if record >> 32 in self.history.gave_up:
            self.findings.of_those_who_gave_up += 1
        else:
            self.add(kind, what)

    def shown(self, record):
        return self.history.shown(record)


def _commits(history, group, partition, findings):
    """Who asks after a commit was acknowledged is told that offset or one behind it; and nobody commits what is not there."""
    commits = sorted(history.commits.get((group, partition), ()), key=lambda commit: commit.ended)
    ended = [commit.ended for commit in commits]
    highest, furthest = [], None
    for commit in commits:
        furthest = commit if furthest is None or commit.offset > furthest.offset else furthest
        highest.append(furthest)
    for found in history.found.get((group, partition), ()):
        before = bisect_left(ended, found.began)
        if before and found.offset < highest[before - 1].offset:
            stale = highest[before - 1]
            findings.add("stale_commit", f"{group}, {partition}: {found.who} was told {found.offset} "
                                         f"{found.ended - stale.ended:.3f} s after {stale.who}'s commit of {stale.offset} was acknowledged")
    ends = history.partitions[partition].ends.values() if partition in history.partitions else ()
    if furthest is not None and ends and furthest.offset > max(ends):
        findings.add("stale_commit", f"{group}, {partition}: {furthest.offset} is committed, and the log ends at {max(ends)}")
