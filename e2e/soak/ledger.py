"""What the members of one group say they have read, put together: is each record read once, in order, but for what a group may repeat?

A group may read again what was read and not committed, from where it has committed; so a new owner begins where some range ended. Where it
begins further on, records are lost, unless retention has taken them before they were read. Pure: who asks for log starts is the caller.
"""
from collections import OrderedDict

# Ends of ranges that are remembered for each partition: several minutes' worth, and no member is longer without a commit.
ENDS_KEPT = 1000
# What is wrong may be wrong again and again.
TROUBLES_KEPT = 50


class Partition:
    def __init__(self):
        # By the offset where a range ended: the next number of each producer there.
        self.ends = OrderedDict([(0, {})])
        self.read_to = 0
        # In the newest generation that has read: who, and how far.
        self.generation, self.owner, self.owner_at = -1, None, 0


class Ledger:
    def __init__(self, group, partitions, log_start):
        self.group, self.log_start = group, log_start
        self.partitions = [Partition() for _ in range(partitions)]
        self.records = self.repeated = self.expired = self.owners = 0
        self.troubles, self.trouble_count = [], 0

    def trouble(self, what):
        self.trouble_count += 1
        if len(self.troubles) < TROUBLES_KEPT:
            self.troubles.append(f"{self.group}: {what}")

    def note(self, member, told):
        """One range, as a member has told of it."""
        number, begin, end = told["partition"], told["begin"], told["end"]
        of = self.partitions[number]
        where = f"partition {number}, offsets {begin} to {end}, {member} in generation {told['generation']}"
        self.check_owner(of, member, told, where)
        known = of.ends.get(begin)
        expired = False
        if known is None:
            nearest = max((e for e in of.ends if e < begin), default=None)
            known = of.ends[nearest] if nearest is not None else {}
            expired = nearest is not None and begin > of.read_to and self.log_start(number) >= begin
            if expired:
                self.expired += begin - of.read_to
            elif begin > of.read_to:
                self.trouble(f"{where}: {begin - of.read_to} records from {of.read_to} on were never read and are not expired")
            else:
                self.trouble(f"{where}: begins where nothing was committed")
        for producer, first in told["first"].items():
            expected = known.get(producer, 0)
            if first < expected or (first > expected and not expired):
                self.trouble(f"{where}: producer {producer} goes on with record {first} instead of {expected}")
        self.records += end - begin
        self.repeated += max(0, min(of.read_to, end) - begin)
        of.read_to = max(of.read_to, end)
        of.ends[end] = known | told["next"]
        of.ends.move_to_end(end)
        while len(of.ends) > ENDS_KEPT:
            of.ends.popitem(last=False)

    def check_owner(self, of, member, told, where):
        generation = told["generation"]
        if generation < of.generation:
            return  # a member that does not know yet that it was replaced; what it reads is not committed
        if generation > of.generation:
            of.generation, of.owner, of.owner_at = generation, member, told["begin"]
            self.owners += 1
        if member != of.owner:
            self.trouble(f"{where}: {of.owner} reads it in the same generation")
        elif told["begin"] < of.owner_at:
            self.trouble(f"{where}: its owner had already read to {of.owner_at}")
        of.owner_at = told["end"]

    def unread(self, ends):
        """How much lies between what was read and these ends of the partitions."""
        return sum(max(0, end - of.read_to) for of, end in zip(self.partitions, ends))

    def check_end(self, sent):
        """sent: by producer, how many records it has sent to each partition."""
        for number, of in enumerate(self.partitions):
            known = of.ends.get(of.read_to, {})
            for producer, records in sent.items():
                if known.get(producer, 0) != records[number]:
                    self.trouble(f"partition {number}: read to record {known.get(producer, 0)} of producer {producer}, which has sent {records[number]}")
