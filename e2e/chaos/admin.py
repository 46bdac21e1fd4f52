"""What the driver asks and tells a cluster as an administrator."""
import time
from concurrent.futures import TimeoutError as NotInTime

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

import raw

REQUEST_S = 10


class Unanswered(OSError):
    """The cluster did not say, or would not."""


def answer(future):
    try:
        return future.result(REQUEST_S + 5)
    except (KafkaException, NotInTime) as refusal:
        raise Unanswered(str(refusal) or "not in time") from refusal


class Admin:
    def __init__(self, cluster):
        self.cluster = cluster
        self.client = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0, "socket.timeout.ms": REQUEST_S * 1000,
                                   "topic.metadata.refresh.interval.ms": 5000})

    def create(self, topics, replication, min_insync, retention_bytes=-1):
        """topics: partitions by name."""
        config = {"min.insync.replicas": str(min_insync), "retention.ms": "-1", "retention.bytes": str(retention_bytes)}
        if retention_bytes >= 0:
            config["segment.bytes"] = str(max(1 << 20, retention_bytes // 4))
        futures = self.client.create_topics([NewTopic(t, n, replication, config=config) for t, n in topics.items()], request_timeout=REQUEST_S)
        for future in futures.values():
            answer(future)

    def topics(self, names):
        """By (topic, partition): leader, replicas and in-sync replicas, all of them node numbers."""
        if not names:
            return {}
        described = self.client.describe_topics(TopicCollection(list(names)), request_timeout=REQUEST_S)
        state = {}
        for topic, future in described.items():
            for p in answer(future).partitions:
                leader = p.leader.id if p.leader is not None else -1
                state[topic, p.id] = leader, [n.id for n in p.replicas], sorted(n.id for n in p.isr)
        return state

    def brokers(self):
        return sorted(n.id for n in answer(self.client.describe_cluster(request_timeout=REQUEST_S)).nodes)

    def metadata_leader(self):
        return raw.metadata_leader(self.addresses())

    def coordinator(self, group):
        (future,) = self.client.describe_consumer_groups([group], request_timeout=REQUEST_S).values()
        return answer(future).coordinator.id

    def in_sync(self, names):
        """Nothing when all nodes are there and every replica is in sync; otherwise what is not."""
        try:
            # A node that was killed and is back before it was missed is in every list, and does not take part yet.
            for node in self.cluster.nodes:
                if not raw.answers(self.cluster.network.address(node)):
                    return f"node {node} does not answer"
            there = self.brokers()
            if there != sorted(self.cluster.nodes):
                return f"only nodes {there} are there"
            for (topic, partition), (leader, replicas, isr) in self.topics(names).items():
                if leader < 0 or sorted(replicas) != isr:
                    return f"{topic}-{partition} has leader {leader}, replicas {replicas}, in sync {isr}"
        except Unanswered as refusal:
            return str(refusal)
        return None

    def await_in_sync(self, names, patience_s):
        """Says what is still amiss when the time is over."""
        deadline = time.monotonic() + patience_s
        while (amiss := self.in_sync(names)) and time.monotonic() < deadline:
            time.sleep(0.5)
        return amiss

    def elect_preferred(self):
        return raw.elect_preferred(self.addresses())

    def reassign(self, moves):
        return raw.reassign(self.addresses(), moves)

    def addresses(self):
        return [self.cluster.network.address(n) for n in self.cluster.nodes]
