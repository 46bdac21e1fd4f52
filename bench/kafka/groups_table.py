"""groups_table.py RESULTS ROUNDS KAFKA_VERSION KAFKA_HEAP - the figures of groups.sh as markdown: medians, with ranges."""
import os
import sys

from table import PEERS, ratio, row, spread

MEASURES = {
    "rebalance": [("start", "all start together, ms"), ("leave", "one leaves, ms"), ("join", "one joins, ms")],
    "groups": [
        ("join-s", "all have joined, s"), ("join-cpu-s", "the broker's CPU for it, s"),
        ("rss-before", "RSS before, MiB"), ("rss-after", "RSS after, MiB"), ("live-before", "live heap before, MiB"), ("live-after", "live heap after, MiB"),
        ("cpu-cores", "the broker's CPU under heartbeats, cores"), ("client-cores", "the client's, cores"), ("heartbeats", "heartbeats a second"),
        ("p50", "heartbeat p50, ms"), ("p99", "heartbeat p99, ms"), ("refused", "members that were refused"),
    ],
}


def load(path):
    """(case, protocol, measure, peer) -> [(round, value)]; a round of rebalance has several."""
    figures = {}
    for line in open(path, encoding="utf-8"):
        round_, peer, case, protocol, measure, value = line.rstrip("\n").split("\t")[:6]
        if value:
            figures.setdefault((case, protocol, measure, peer), []).append((int(round_), float(value)))
    return figures


def of_rounds(some):
    """The median of each round, to be set against the other's of the same round."""
    by_round = {}
    for round_, value in some:
        by_round.setdefault(round_, []).append(value)
    return {round_: sorted(values)[len(values) // 2] for round_, values in by_round.items()}


def main():
    path, rounds, version, heap = sys.argv[1:]
    figures = load(path)
    loads = [value for key, some in figures.items() if key[2] == "load" for _, value in some]
    print(f"Apache Kafka {version} (heap {heap}) and Millrace, {rounds} rounds, {os.cpu_count()} cores,", end=" ")
    print(f"load average before a measurement {spread(loads)}. Medians with ranges; ratios are Millrace to Kafka in the same round.\n")
    row(["case", "protocol", "", "Kafka", "Millrace", "ratio"])
    row(["---"] * 6)
    for case, measures in MEASURES.items():
        for protocol in dict.fromkeys(key[1] for key in figures if key[0] == case):
            for measure, title in measures:
                some = [figures.get((case, protocol, measure, peer), []) for peer in PEERS]
                if any(some):
                    row([case, protocol, title, *(spread([value for _, value in of]) for of in some), ratio(*map(of_rounds, some))])


main()
