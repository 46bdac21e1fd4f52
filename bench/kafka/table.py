"""table.py RESULTS ROUNDS KAFKA_VERSION KAFKA_HEAP - the figures of run.sh as markdown: medians, with ranges over the rounds."""
import os
import statistics
import sys
from collections import defaultdict

PEERS = ("kafka", "millrace")


def load(path):
    """(case, client, measure, peer) -> {round: value}, and cases and clients in the order of the run."""
    figures, order = defaultdict(dict), []
    for line in open(path, encoding="utf-8"):
        round_, peer, case, client, measure, value = line.rstrip("\n").rstrip("\t").split("\t")
        figures[case, client, measure, peer][int(round_)] = float(value)
        if (case, client) not in order:
            order.append((case, client))
    return figures, order


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    """`median (least to most)`"""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} to {number(max(values))})"


def ratio(kafka, millrace):
    """Of Millrace to Kafka in the same round."""
    both = [millrace[r] / kafka[r] for r in kafka.keys() & millrace.keys() if kafka[r] > 0]
    return spread(both)


def row(cells):
    print("| " + " | ".join(cells) + " |")


def main():
    path, rounds, version, heap = sys.argv[1:]
    figures, order = load(path)
    loads = [value for key, by_round in figures.items() if key[2] == "load" for value in by_round.values()]
    with open("/proc/meminfo", encoding="utf-8") as meminfo:
        memory_gib = int(meminfo.readline().split()[1]) / (1 << 20)
    print(f"Apache Kafka {version} (heap {heap}) and Millrace, {rounds} rounds, {os.cpu_count()} cores, {memory_gib:.0f} GiB,", end=" ")
    print(f"load average before a measurement {spread(loads)}. Medians with ranges; ratios are Millrace to Kafka in the same round.\n")
    row(["case", "client", "Kafka rec/s", "Millrace rec/s", "ratio", "Kafka MiB/s", "Millrace MiB/s", "Kafka p50 / p99 / p99.9 ms", "Millrace p50 / p99 / p99.9 ms", "Kafka CPU s/GB", "Millrace CPU s/GB", "CPU ratio"])
    row(["---"] * 12)
    for case, client in order:
        if client == "-":
            continue

        def of(measure, peer):
            return figures[case, client, measure, peer]

        def both(measure):
            return [spread(list(of(measure, peer).values())) for peer in PEERS]

        def percentiles(peer):
            medians = [of(p, peer).values() for p in ("p50", "p99", "p999")]
            return " / ".join(number(statistics.median(m)) if m else "-" for m in medians)

        rates = [of("rate", peer) for peer in PEERS]
        cpus = [of("cpu", peer) for peer in PEERS]
        row([case, client, *both("rate"), ratio(*rates), *both("mib"), *map(percentiles, PEERS), *both("cpu"), ratio(*cpus)])
    print()
    row(["", "Kafka", "Millrace", "ratio"])
    row(["---"] * 4)
    for case, measure, name in (
        ("start", "ms", "start to first acknowledged produce, empty directory, ms"),
        ("rss-fresh", "mib", "RSS fresh, MiB"),
        ("rss-after", "mib", "RSS after all cases, MiB"),
    ):
        by_peer = [figures[case, "-", measure, peer] for peer in PEERS]
        row([name, *(spread(list(values.values())) for values in by_peer), ratio(*by_peer)])


if __name__ == "__main__":
    main()
