"""chaos.py kafka|millrace --results FOLDER [OPTIONS]: see --help

A cluster, clients that work with it, and a nemesis that hurts it; then what all of them saw is judged. run.sh calls this, in namespaces of its
own. Exit code: 0 when all holds, 1 when something does not, 2 when it could not be run.
"""
import argparse
import json
import os
import random
import signal
import sys
import time

import availability
from admin import Admin
from checker import EXAMPLES, check
from cluster import Cluster
from crew import HERE, Crew
from faults import FAULTS
from history import History
from nemesis import Nemesis
from network import Loopback, Namespaces
from systems import SYSTEMS

sys.path.append(os.path.join(HERE, "clients"))
from role import Journal

TOPICS = {"ledger": 8, "other": 4}
REPLICATION, MIN_INSYNC = 3, 2
GROUPS = {"chaos-range": "range", "chaos-cooperative": "cooperative-sticky", "chaos-newer": "consumer"}
MEMBERS = 2
# A member of some group is killed, leaves, or is started this often.
MEMBERS_CHANGE_S = (4, 12)
# Records a second of each producer: enough that a gap of a partition shows, little enough for two cores.
RATE = 50
# Everybody works, and nobody is hurt, before the first fault and after the last.
CALM_S = 8
SETTLE_S = 120
FINAL_S = 120


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=sorted(SYSTEMS))
    parser.add_argument("--results", required=True)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--faults", default="", help="how often each is chosen beside the others, NAME=WEIGHT,...: " + ", ".join(FAULTS))
    parser.add_argument("--only", default="", help="no fault but these, NAME,...")
    parser.add_argument("--majority", type=float, default=0.0, help="the share of faults that kill a majority at once")
    parser.add_argument("--crowd", type=int, default=None, help="how many nodes are hurt at once, instead of a minority at most")
    parser.add_argument("--override", action="append", default=[], metavar="NAME=VALUE", help="a setting of every node")
    parser.add_argument("--rate", type=float, default=RATE, help="records a second of each producer")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    options.weights = {name: 0.0 for name in FAULTS} if options.only else {}
    options.weights |= {name: FAULTS[name].weight or 1.0 for name in options.only.split(",") if name}
    options.weights |= {name: float(weight) for name, weight in (part.split("=") for part in options.faults.split(",") if part)}
    if unknown := options.weights.keys() - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    if options.nodes < REPLICATION:
        parser.error(f"--nodes is {options.nodes}; topics have {REPLICATION} replicas, so it is at least that")
    return options


def say(text):
    print("#", time.strftime("%H:%M:%S"), text, flush=True)


class Clients:
    """Who works with the cluster all the time."""

    def __init__(self, crew, cluster, seed, rate):
        self.crew, self.cluster, self.rate = crew, cluster, rate
        # Their own, so that what the nemesis draws does not depend on how long it waits.
        self.random = random.Random(seed + 1)
        self.topics = ",".join(f"{topic}:{count}" for topic, count in TOPICS.items())
        self.members, self.started, self.change_at = {group: [] for group in GROUPS}, 0, None

    def program(self, library, name):
        return [os.environ[f"PYTHON_{library}"], os.path.join(HERE, "clients", name), self.cluster.bootstrap]

    def start(self):
        for library in ("LIBRDKAFKA", "KAFKA_PYTHON", "AIOKAFKA"):
            name = library.lower().replace("_", "-")
            self.crew.start(f"producer-{name}", self.program(library, f"produce_{library.lower()}.py"), self.topics, self.rate)
        self.crew.start("producer-java", ["java", "-Xmx64M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                                          f"-Dlog4j2.configurationFile={os.path.join(HERE, '..', 'peers', 'log4j2-tools.yaml')}", "-cp",
                                          os.environ["CHAOS_CLASSES"] + ":" + os.path.join(os.environ["KAFKA_JARS"], "*"), "Produce",
                                          self.cluster.bootstrap], self.topics, self.rate)
        for name, isolation, rack in (("reader", "uncommitted", "-"), ("reader-committed", "committed", "-"), ("reader-rack", "committed", "rack-2")):
            self.crew.start(name, self.program("LIBRDKAFKA", "read.py"), self.topics, isolation, rack)
        for group in GROUPS:
            for _ in range(MEMBERS):
                self.join(group)
        self.crew.start("watcher", self.program("LIBRDKAFKA", "watch_commits.py"), self.topics, ",".join(GROUPS))
        self.change_at = time.monotonic() + self.random.uniform(*MEMBERS_CHANGE_S)

    def join(self, group):
        self.started += 1
        name = f"member-{self.started}"
        self.members[group].append(name)
        self.crew.start(name, self.program("LIBRDKAFKA", "member.py"), self.topics, group, GROUPS[group])

    def look(self):
        """Members come and go; whoever has ended is told of."""
        for name in self.crew.look():
            say(f"{name} ended by itself")
            for members in self.members.values():
                if name in members:
                    members.remove(name)
        if time.monotonic() < self.change_at:
            return
        self.change_at = time.monotonic() + self.random.uniform(*MEMBERS_CHANGE_S)
        group = self.random.choice(list(GROUPS))
        members = self.members[group]
        if len(members) < MEMBERS:
            self.join(group)
        elif members:
            name = members.pop(0)
            if self.random.random() < 0.5:
                self.crew.kill(name)
            else:
                self.crew.leave(name)

    def dismiss(self, *prefixes):
        self.crew.dismiss([name for name in self.crew.workers if name.startswith(prefixes)])

    def read_to_the_end(self):
        """Twice, by readers that know nothing of what was before; both must see the same."""
        for isolation in ("uncommitted", "committed"):
            self.crew.start(f"last-{isolation}", self.program("LIBRDKAFKA", "read_final.py"), self.topics, isolation, FINAL_S)
        self.dismiss("last-")


def work(options, cluster, crew, journal):
    """Everything up to the last reading. What the cluster did that it must not do, in words."""
    admin = Admin(cluster)
    cluster.start_all()
    say(f"{options.nodes} nodes of {options.system} answer at {cluster.bootstrap}")
    for topics in ({}, TOPICS):
        if topics:
            admin.create(topics, REPLICATION, MIN_INSYNC)
        if amiss := admin.await_in_sync(list(topics), SETTLE_S):
            raise OSError(f"the cluster did not come up: {amiss}")
    clients = Clients(crew, cluster, options.seed, options.rate)
    clients.start()
    nemesis = Nemesis(cluster, admin, list(TOPICS), REPLICATION, list(GROUPS), journal, options.seed, options.weights, options.majority, options.crowd)
    say("faults: " + ", ".join(f"{name} {weight:g}" for name, weight in nemesis.weights.items() if weight))
    nemesis.run_calm(CALM_S, clients.look)
    count = nemesis.run(options.seconds, clients.look) if any(nemesis.weights.values()) or options.majority else nemesis.run_calm(options.seconds, clients.look)
    say(f"{count} faults; now all is well, and clients come to their end")
    cluster.network.heal()
    if amiss := admin.await_in_sync(list(TOPICS), SETTLE_S):
        nemesis.trouble(f"not in sync within {SETTLE_S} s of the last fault: {amiss}")
    nemesis.run_calm(CALM_S, clients.look)
    clients.dismiss("producer")
    clients.read_to_the_end()
    clients.dismiss("reader", "member", "watcher")
    return nemesis.troubles


def histories(folder):
    history = History()
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as lines:
            history.read(lines)
    return history


def judge(options, history, troubles):
    findings = check(history)
    rows = availability.gaps(history)
    reads = sum(len(r.offsets) for s in history.sessions.values() for r in s.partitions.values())
    acknowledged = sum(len(p.acknowledged) + len(p.written) for p in history.partitions.values())
    if not acknowledged or not reads:
        troubles = [*troubles, "nothing was acknowledged, or nothing was read: nothing was tried"]
    holds = not findings.found() and not troubles
    report = {
        "system": options.system, "nodes": options.nodes, "seed": options.seed, "seconds": options.seconds, "holds": holds,
        "acknowledged": acknowledged, "unknown": sum(p.unknown for p in history.partitions.values()),
        "failed": sum(len(p.failed) for p in history.partitions.values()), "failures": history.failures,
        "producers": len(history.producers), "reads": reads, "sessions": len(history.sessions),
        "commits": sum(map(len, history.commits.values())), "commits_asked_for": sum(map(len, history.found.values())),
        "doubled_or_reordered_by_producers_that_gave_up": findings.of_those_who_gave_up, "findings": findings.counts, "examples": {kind: found for kind, found in findings.examples.items() if found},
        "troubles": troubles, "faults": rows}
    with open(os.path.join(options.results, "report.json"), "w") as out:
        json.dump(report, out, indent=1)
    print_report(report, rows)
    return holds


def print_report(report, rows):
    print(f"{report['acknowledged']} records of {report['producers']} producers acknowledged, {report['unknown']} of unknown fate, "
          f"{report['failed']} failed; {report['reads']} read in {report['sessions']} sessions; {report['commits']} commits, "
          f"asked for {report['commits_asked_for']} times")
    for what, times in sorted(report["failures"].items()):
        print(f"    {what}: {times}")
    if again := report["doubled_or_reordered_by_producers_that_gave_up"]:
        print(f"    doubled or reordered by producers that had given up a record before, which is theirs: {again}")
    for line in availability.table(rows) if rows else ():
        print(line)
    for kind, count in report["findings"].items():
        if count:
            print(f"FAIL {kind}: {count}")
            for what in report["examples"][kind][:EXAMPLES]:
                print("    ", what)
    for trouble in report["troubles"]:
        print("FAIL", trouble)
    print(f"{'ok' if report['holds'] else 'FAIL'}: {report['system']}, {report['nodes']} nodes, {len(rows)} faults, seed {report['seed']}", flush=True)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(options.results, exist_ok=True)
    say(f"seed {options.seed}, results in {options.results}")
    nodes = range(1, options.nodes + 1)
    try:
        network = Namespaces(nodes) if "CHAOS_NAMESPACES" in os.environ else Loopback(nodes)
        cluster = Cluster(SYSTEMS[options.system](soon=True), network, options.nodes, os.path.join(options.results, "nodes"),
                          dict(setting.split("=", 1) for setting in options.override))
    except OSError as trouble:
        print(f"chaos: {trouble}", file=sys.stderr)
        return 2
    crew = Crew(options.results)
    journal = Journal(os.path.join(crew.journals, "driver"))
    try:
        troubles = work(options, cluster, crew, journal)
    except OSError as trouble:
        print(f"chaos: {trouble}", file=sys.stderr)
        return 2
    finally:
        crew.end()
        cluster.end()
        journal.flush()
    return 0 if judge(options, histories(crew.journals), troubles + crew.troubles) else 1


if __name__ == "__main__":
    sys.exit(main())
