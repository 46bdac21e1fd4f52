"""The two systems that can be hurt: how each is formatted and started. Both are given the same properties file."""
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "..", "peers")
FORMAT_S = 60


def properties(system, node, nodes, network, data, overrides):
    """One of several nodes, each a broker and a controller. What is not named here has Kafka's defaults, failure detection among it."""
    voters = ",".join(f"{n}@{network.controller(n)}" for n in nodes)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node,
        "listeners": f"PLAINTEXT://{network.address(node)},CONTROLLER://{network.controller(node)}",
        "advertised.listeners": f"PLAINTEXT://{network.address(node)}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "controller.quorum.voters": voters,
        "log.dirs": data,
        "broker.rack": f"rack-{node}",
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "default.replication.factor": 3,
        "min.insync.replicas": 2,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 3,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 3,
        "transaction.state.log.min.isr": 2,
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{name}={value}\n" for name, value in (settings | system.settings | overrides).items())


class Kafka:
    name = "kafka"
    # A consumer that says its rack reads from the follower there.
    settings = {"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"}

    def __init__(self, soon=False):
        """`soon`: it starts in half the time, and is slower afterwards. Where its speed is measured it is as Kafka's own scripts have it."""
        self.jars, self.heap, self.soon = os.environ["KAFKA_JARS"], os.environ.get("KAFKA_HEAP", "512M"), soon

    def _java(self, heap, *arguments, log="log4j2-tools.yaml"):
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={os.path.join(PEERS, log)}", "-cp", os.path.join(self.jars, "*"), *arguments]

    def format(self, cluster, file):
        return self._java("128M", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", file)

    def server(self, file):
        if self.soon:
            return self._java(self.heap, "kafka.Kafka", file, log="log4j2-server.yaml")
        return ["java", f"-Xmx{self.heap}", f"-Xms{self.heap}", "-XX:+UseG1GC", "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={os.path.join(PEERS, 'log4j2-server.yaml')}", "-cp", os.path.join(self.jars, "*"), "kafka.Kafka", file]


class Millrace(Kafka):
    name = "millrace"
    # It loads no Java classes: which follower serves a rack is not a setting.
    settings = {}

    def __init__(self, soon=False):
        super().__init__(soon)
        self.program, self.tools = os.environ["MILLRACE"], os.environ["TOOLS"]

    def format(self, cluster, file):
        return [self.tools, "kafka-storage", "format", "-t", cluster, "-c", file]

    def server(self, file):
        return [self.program, "server", file, "--override", "millrace.metrics.listener=", "--override", "millrace.control.listener="]


SYSTEMS = {system.name: system for system in (Kafka, Millrace)}


def formatted(system, cluster, file, log):
    with open(log, "ab") as out:
        done = subprocess.run(system.format(cluster, file), stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=FORMAT_S)
    if done.returncode:
        raise OSError(f"formatting by {file} failed, see {log}")
