"""failover.py kafka|millrace FOLDER RESULTS FIRST LAST LOAD_MB CASE...: one cluster, the runs FIRST to LAST of each case; a line for each to RESULTS:
system, case, run, the longest gap in ms, the longest while the node came back, how late the prober itself was, the machine's load."""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHAOS = os.path.join(HERE, "..", "..", "e2e", "chaos")
sys.path.append(CHAOS)

from admin import Admin
from availability import longest
from cluster import Cluster
from crew import Crew
from network import Loopback, Namespaces
from systems import SYSTEMS

NODES, REPLICATION, MIN_INSYNC = 3, 3, 2
PROBED, PROBED_PARTITIONS, EVERY_MS = "failover", 30, 20
LOADED, LOADED_PARTITIONS = "load", 6
# Before the signal: every leader is where it is preferred, and all have found it.
CALM_S = 5
# A gap counts from the last acknowledgement before the signal, which was less than this ago.
BEFORE_S = 0.5
# After it: until every partition has been acknowledged again and for so long behind that; at most so long.
AFTER_S, GIVE_UP_S = 5, 90
IN_SYNC_S = 300


class Probe:
    """What the prober has written down so far."""

    def __init__(self, file):
        self.file, self.at, self.rest = file, 0, ""
        self.times, self.late, self.refused = {p: [] for p in range(PROBED_PARTITIONS)}, [], 0

    def read(self):
        try:
            with open(self.file, encoding="utf-8") as file:
                file.seek(self.at)
                new = file.read()
        except FileNotFoundError:
            return
        self.at += len(new)
        *lines, self.rest = (self.rest + new).split("\n")
        for line in lines:
            kind, *facts = line.split()
            if kind == "late":
                self.late.append((float(facts[1]), float(facts[0])))
            elif kind == "refused":
                self.refused += 1
            else:
                self.times[int(kind)].append(float(facts[0]))

    def gap(self, begin, end):
        """The longest of any partition, and which."""
        return max((longest(times, begin, end), partition) for partition, times in self.times.items())

    def all_again(self, since):
        return all(times and times[-1] > since for times in self.times.values())

    def lateness(self, begin, end):
        return max((late for at, late in self.late if begin <= at <= end), default=0.0)


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def wait(probe, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        probe.read()
        time.sleep(0.1)


def balanced(admin, probe):
    """All in sync, and every preferred leader leading."""
    deadline = time.monotonic() + IN_SYNC_S
    while True:
        amiss = admin.in_sync([PROBED, LOADED])
        if not amiss:
            refused = admin.elect_preferred()
            state = admin.topics([PROBED, LOADED])
            if not refused and all(leader == replicas[0] for leader, replicas, _ in state.values()):
                return
            amiss = str(refused)
        if time.monotonic() > deadline:
            raise OSError(f"not balanced within {IN_SYNC_S} s: {amiss}")
        wait(probe, 1)


def victim(case, run, cluster, admin):
    leader = admin.metadata_leader()
    if leader is None:
        raise OSError("nobody says who leads the metadata")
    nodes = sorted(cluster.nodes)
    if case == "metadata":
        return leader
    if case == "partitions":
        others = [node for node in nodes if node != leader]
        return others[run % len(others)]
    return nodes[run % len(nodes)]


def once(case, run, cluster, admin, probe):
    balanced(admin, probe)
    wait(probe, CALM_S)
    node = victim(case, run, cluster, admin)
    begun = time.monotonic()
    if case == "planned":
        if not cluster.stop(node):
            raise OSError(f"node {node} did not end after SIGTERM")
    else:
        cluster.kill(node)
    # A tick later: what was on its way when the signal came does not count as acknowledged after it.
    since = time.monotonic() + 0.5
    while not probe.all_again(since):
        if time.monotonic() > begun + GIVE_UP_S:
            break
        wait(probe, 0.5)
    wait(probe, AFTER_S)
    ended = time.monotonic()
    gap, partition = probe.gap(begun - BEFORE_S, ended)
    cluster.start(node)
    balanced_since = time.monotonic()
    if amiss := admin.await_in_sync([PROBED, LOADED], IN_SYNC_S):
        raise OSError(f"node {node} is not in sync {time.monotonic() - balanced_since:.0f} s after its start: {amiss}")
    wait(probe, 1)
    back, _ = probe.gap(ended, time.monotonic())
    late = probe.lateness(begun, ended)
    say(f"{cluster.system.name}, {case}, run {run}: node {node}, partition {partition} had no acknowledgement for {gap * 1000:.0f} ms, "
        f"{back * 1000:.0f} ms while it came back; the prober was {late * 1000:.0f} ms late at most")
    return gap, back, late


def main():
    system, folder, results = sys.argv[1:4]
    first, last, load_mb = int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
    cases = sys.argv[7:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    nodes = range(1, NODES + 1)
    network = Namespaces(nodes) if "CHAOS_NAMESPACES" in os.environ else Loopback(nodes)
    cluster = Cluster(SYSTEMS[system](), network, NODES, os.path.join(folder, "nodes"), disks=False)
    crew = Crew(folder)
    try:
        cluster.start_all()
        admin = Admin(cluster)
        if amiss := admin.await_in_sync([], IN_SYNC_S):
            raise OSError(f"the cluster did not come up: {amiss}")
        admin.create({PROBED: PROBED_PARTITIONS, LOADED: LOADED_PARTITIONS}, REPLICATION, MIN_INSYNC, retention_bytes=64 << 20)
        os.environ["PYTHONPATH"] = os.path.join(CHAOS, "clients")
        programs = {"probe": ("probe.py", PROBED, PROBED_PARTITIONS, EVERY_MS), "load": ("load.py", LOADED, LOADED_PARTITIONS, load_mb)}
        for name, (program, *arguments) in programs.items():
            crew.start(name, [sys.executable, os.path.join(HERE, program), cluster.bootstrap], *arguments, named=False)
        probe = Probe(os.path.join(crew.journals, "probe-1"))
        for run in range(first, last + 1):
            for case in cases:
                gap, back, late = once(case, run, cluster, admin, probe)
                if ended := list(crew.look()):
                    raise OSError(f"{ended} ended by itself, see clients.log")
                with open(results, "a", encoding="utf-8") as out:
                    print(system, case, run, *(f"{value * 1000:.0f}" for value in (gap, back, late)), f"{os.getloadavg()[0]:.1f}", sep="\t", file=out)
    except OSError as trouble:
        print(f"failover: {trouble}", file=sys.stderr)
        return 2
    finally:
        crew.end()
        cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
