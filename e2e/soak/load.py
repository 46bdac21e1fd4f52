"""What runs against the broker: topics, producers, groups with members that come and go, and what was heard of them."""
import random
import time

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from ledger import Ledger
from role import PATIENCE_S, client

DELETED, COMPACTED, JAVA, PEAK = "soak-deleted", "soak-compacted", "soak-java", "soak-peak"
PARTITIONS, COMPACTED_PARTITIONS, KEYS = 12, 4, 20_000
PRODUCERS = 2
# Of the rate that the soak holds: the rest goes to the topic that is deleted from.
COMPACTED_SHARE, JAVA_SHARE = 0.1, 0.05
RETAINED = {"cleanup.policy": "delete", "segment.bytes": str(8 << 20), "retention.bytes": str(64 << 20), "retention.ms": "60000"}
CONFIGS = {DELETED: RETAINED, JAVA: RETAINED, PEAK: RETAINED,
           COMPACTED: {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "10000", "delete.retention.ms": "30000"}}
# A group for each way to assign; the last is the newer protocol.
GROUPS = {"soak-range": "range", "soak-cooperative": "cooperative-sticky", "soak-consumer": "consumer"}
MEMBERS = 3
# Members die and come at random moments in that range.
CHAOS_S = (20, 30)


class Load:
    def __init__(self, bootstrap, crew):
        self.bootstrap, self.crew = bootstrap, crew
        self.admin = AdminClient(client(bootstrap))
        # Asked for ends and log starts, and never reads.
        self.asking = Consumer(client(bootstrap, group_id="soak-asking"))
        self.ledgers, self.troubles, self.trouble_count = {}, [], 0
        self.facts, self.counts = {}, {}
        self.named, self.chaos_at = 0, None

    # Topics

    def create(self, topic, partitions):
        (future,) = self.admin.create_topics([NewTopic(topic, partitions, 1, config=CONFIGS[topic])]).values()
        future.result(PATIENCE_S)

    def delete_groups(self):
        for future in self.admin.delete_consumer_groups(list(self.ledgers)).values():
            future.result(PATIENCE_S)

    def delete(self, topics):
        for future in self.admin.delete_topics(topics).values():
            future.result(PATIENCE_S)

    def watermarks(self, topic, partition):
        return self.asking.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S, cached=False)

    def ends(self, topic, partitions=PARTITIONS):
        return [self.watermarks(topic, p)[1] for p in range(partitions)]

    # Workers

    def start_producers(self, topic, rate):
        for i in range(PRODUCERS):
            self.crew.start(f"producer-{i}", "producer.py", self.bootstrap, topic, PARTITIONS, i, rate / PRODUCERS)

    def start_groups(self, topic, suffix=""):
        self.ledgers = {group + suffix: Ledger(group + suffix, PARTITIONS, lambda p: self.watermarks(topic, p)[0]) for group in GROUPS}
        for group in self.ledgers:
            for _ in range(MEMBERS - 1):
                self.join(group, topic)

    def join(self, group, topic):
        assignor = next(a for name, a in GROUPS.items() if group.startswith(name))
        self.named += 1
        self.crew.start(f"{group}/{self.named}", "member.py", self.bootstrap, group, topic, assignor)
        self.count("members started")

    def start_mixed(self, rate, seconds, java):
        """All that the soak is made of."""
        self.start_groups(DELETED)
        java_rate = max(1, round(rate * JAVA_SHARE)) if java else 0
        self.start_producers(DELETED, rate * (1 - COMPACTED_SHARE) - java_rate)
        self.crew.start("keyed", "keyed.py", self.bootstrap, COMPACTED, COMPACTED_PARTITIONS, KEYS, rate * COMPACTED_SHARE)
        self.crew.start("replay", "replay.py", self.bootstrap, DELETED, COMPACTED, PARTITIONS, COMPACTED_PARTITIONS)
        self.crew.start("churn", "churn.py", self.bootstrap)
        if java:
            self.facts["java records"] = round(java_rate * seconds)
            self.crew.run("java", [*java, "--bootstrap-server", self.bootstrap, "--topic", JAVA, "--num-records", str(self.facts["java records"]),
                                   "--record-size", "1024", "--throughput", str(java_rate), "--command-property", "acks=all"])
        self.chaos_at = time.monotonic() + random.uniform(*CHAOS_S)

    def members(self, group):
        return [name for name, worker in self.crew.workers.items() if name.startswith(group + "/") and worker.told_to_leave is False]

    def chaos(self):
        """Now and then a member of each group is killed or leaves, and others join."""
        if self.chaos_at is None or time.monotonic() < self.chaos_at:
            return
        self.chaos_at = time.monotonic() + random.uniform(*CHAOS_S)
        for group in self.ledgers:
            members = self.members(group)
            if len(members) < MEMBERS and (len(members) < 2 or random.random() < 0.5):
                self.join(group, DELETED)
            else:
                name, how = random.choice(members), random.choice(["killed", "told to leave"])
                self.crew.kill(name) if how == "killed" else self.crew.leave(name)
                self.count(f"members {how}")

    # What they say

    def count(self, what, by=1):
        self.counts[what] = self.counts.get(what, 0) + by

    def trouble(self, what):
        self.trouble_count += 1
        if len(self.troubles) < 50:
            self.troubles.append(what)

    def hear(self, seconds):
        self.note(self.crew.hear(seconds))

    def note(self, heard):
        for name, told in heard:
            match told["kind"]:
                case "range":
                    self.ledgers[name.partition("/")[0]].note(name, told)
                case "broken":
                    self.trouble(f"{name}: {told['what']}")
                case "sent" | "newest" | "churned":
                    self.facts[name] = told
                case "refused" | "uncommitted":
                    self.count(f"{told['kind']} {told['why']}")
                case "text":
                    self.facts[name] = told["text"]
                case kind:
                    self.count(kind)

    def consumed(self):
        return sum(ledger.records for ledger in self.ledgers.values())

    def dismiss(self, *prefixes):
        self.note(self.crew.dismiss([name for name in list(self.crew.workers) if name.startswith(prefixes)]))

    def drain(self):
        """Chaos ends, and every group reads to the end of what was produced, or takes too long."""
        self.chaos_at = None
        for group in self.ledgers:
            if not self.members(group):
                self.join(group, DELETED)
        ends, deadline = self.ends(DELETED), time.monotonic() + PATIENCE_S
        while any(ledger.unread(ends) for ledger in self.ledgers.values()) and time.monotonic() < deadline:
            self.hear(0.5)
