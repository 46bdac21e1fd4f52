"""What the members of one group said, and what must never be in it.

A generation belongs to one assignment: within it a partition has one reader. A commit that was acknowledged in an earlier generation is
known to whoever takes the partition in a later one: he starts at it or after it. Both hold whatever order the lines come in, for they
compare generations, not times.

In the newer protocol a member's epoch is what its generation is here. A member reaches an epoch when it has given back what the assignment of
that epoch takes from it, and only then another gets it, in that epoch or a later one. So the same holds.
"""
from collections import defaultdict
from threading import RLock

# What a client says that was thrown out; of the newer protocol, 0.
NO_GENERATIONS = (-1, 0)


class Ledger:
    def __init__(self):
        self._lock = RLock()
        self._readers = defaultdict(set)  # (generation, partition) -> owners
        self._starts = defaultdict(dict)  # partition -> (generation, owner) -> the lowest offset read
        self._commits = defaultdict(list)  # partition -> (generation, offset), acknowledged
        self._read = defaultdict(set)  # partition -> offsets

    def read(self, owner, generation, partition, first, last):
        with self._lock:
            self._read[partition].update(range(first, last + 1))
            if generation not in NO_GENERATIONS:
                self._readers[generation, partition].add(owner)
                starts = self._starts[partition]
                starts[generation, owner] = min(first, starts.get((generation, owner), first))

    def committed(self, generation, partition, offset):
        with self._lock:
            self._commits[partition].append((generation, offset))

    def last_commits(self):
        """The newest acknowledged commit of each partition: that of the highest generation, and of those the highest."""
        with self._lock:
            return {partition: max(commits)[1] for partition, commits in self._commits.items()}

    def twice_owned(self):
        with self._lock:
            return [f"{partition} in generation {generation} by {sorted(owners)}"
                    for (generation, partition), owners in self._readers.items() if len(owners) > 1]

    def forgotten_commits(self):
        """Reads that start before a commit of an earlier generation."""
        with self._lock:
            found = []
            for partition, starts in self._starts.items():
                for (generation, owner), first in starts.items():
                    known = max((o for g, o in self._commits.get(partition, ()) if g not in NO_GENERATIONS and g < generation), default=0)
                    if first < known:
                        found.append(f"{owner} read {partition} from {first} in generation {generation}, when {known} had been committed")
            return found

    def unread(self, ends):
        """Records nobody read, of those that were acknowledged to the producer."""
        with self._lock:
            return {p: missing for p, end in ends.items() if (missing := sorted(set(range(end)) - self._read.get(p, set()))[:10])}

    def reads(self, partition):
        with self._lock:
            return len(self._read.get(partition, ()))
