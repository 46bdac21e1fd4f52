"""What the driver asks and tells a cluster as an administrator: librdkafka's admin client, and Kafka's own tools for what that cannot do."""
import json
import os
import subprocess
import time
from concurrent.futures import TimeoutError as NotInTime

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

import quorum

REQUEST_S = 10
TOOL_S = 60


class Unanswered(Exception):
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

    def create(self, topics, replication, min_insync):
        """topics: partitions by name."""
        config = {"min.insync.replicas": str(min_insync), "retention.ms": "-1"}
        futures = self.client.create_topics([NewTopic(t, n, replication, config=config) for t, n in topics.items()], request_timeout=REQUEST_S)
        for future in futures.values():
            answer(future)

    def topics(self, names):
        """By (topic, partition): leader, replicas and in-sync replicas, all of them node numbers."""
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
        return quorum.leader(self.cluster.network.address(n) for n in self.cluster.nodes)

    def coordinator(self, group):
        (future,) = self.client.describe_consumer_groups([group], request_timeout=REQUEST_S).values()
        return answer(future).coordinator.id

    def in_sync(self, names):
        """Nothing when all nodes are there and every replica is in sync; otherwise what is not."""
        try:
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

    # ---- Kafka's tools ----

    def _tool(self, name, *arguments):
        with open(os.path.join(self.cluster.folder, "tools.log"), "a") as log:
            print(name, *arguments, file=log, flush=True)
            try:
                done = subprocess.run(self.cluster.system.tool(name, "--bootstrap-server", self.cluster.bootstrap, *arguments),
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=TOOL_S)
            except subprocess.TimeoutExpired:
                return False
        return not done.returncode

    def elect_preferred(self):
        return self._tool("org.apache.kafka.tools.LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")

    def reassign(self, moves):
        """moves: replicas, the preferred leader first, by (topic, partition). Does not wait for them to arrive."""
        file = os.path.join(self.cluster.folder, "reassignment.json")
        with open(file, "w") as out:
            json.dump({"version": 1, "partitions": [{"topic": t, "partition": p, "replicas": replicas} for (t, p), replicas in moves.items()]}, out)
        return self._tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--execute", "--reassignment-json-file", file)

    def cancel(self):
        """What is under way and does not come to an end."""
        file = os.path.join(self.cluster.folder, "reassignment.json")
        return not os.path.exists(file) or self._tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--cancel", "--reassignment-json-file", file)
