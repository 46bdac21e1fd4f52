"""soak.py --bootstrap ADDRESS --process ID --metrics ADDRESS --data FOLDER --results FOLDER --seconds N [-- JAVA COMMAND...]

Drives the soak: learns the peak, holds half of it for so long while members, topics and retention come and go, and says what came of it.
JAVA COMMAND is how kafka-producer-perf-test is called, without its arguments.
"""
import argparse
import os
import random
import signal
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from statements import end

import statements_of_soak
from crew import Crew
from load import COMPACTED, COMPACTED_PARTITIONS, DELETED, JAVA, PARTITIONS, PEAK, Load
from role import PATIENCE_S
from samples import Broker, Samples

PEAK_S = 30
# The first seconds of the peak are members that join and connections that open.
PEAK_WARM_S = 10
HELD_SHARE = 0.5
SAMPLE_S = 10
# After all topics are gone: retention's and the log's next rounds.
SETTLE_S = 30


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "metrics", "data", "results"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--process", required=True, type=int)
    parser.add_argument("--seconds", required=True, type=float)
    parser.add_argument("java", nargs="*")
    return parser.parse_args()


def say(text):
    print("#", time.strftime("%H:%M:%S"), text, flush=True)


def hear_for(load, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        load.hear(min(0.5, max(0, until - time.monotonic())))


def learn_peak(load, broker):
    """Records a second that are produced, and read by each group, when nobody holds back."""
    load.create(PEAK, PARTITIONS)
    load.start_groups(PEAK, suffix="-peak")
    load.start_producers(PEAK, 0)
    hear_for(load, PEAK_WARM_S)
    begun, produced, read = time.monotonic(), broker.produced(), {g: ledger.records for g, ledger in load.ledgers.items()}
    hear_for(load, PEAK_S - PEAK_WARM_S)
    passed = time.monotonic() - begun
    rates = {"produced": (broker.produced() - produced) / passed}
    rates |= {group: (ledger.records - read[group]) / passed for group, ledger in load.ledgers.items()}
    load.dismiss("producer", "soak")
    load.delete([PEAK])
    load.delete_groups()
    say("peak, records a second: " + ", ".join(f"{who} {rate:.0f}" for who, rate in rates.items()))
    return min(rates.values())


def hold(load, samples, seconds):
    """The soak itself."""
    begun, next_sample = time.monotonic(), time.monotonic() + SAMPLE_S
    while time.monotonic() - begun < seconds:
        load.hear(0.5)
        load.chaos()
        if time.monotonic() >= next_sample:
            samples.take(load.consumed())
            next_sample += SAMPLE_S
            if len(samples.rows) % 30 == 0:
                row = samples.rows[-1]
                say(f"second {row['second']}: {row['produced_per_s']:.0f} records/s produced, {row['consumed_per_s']:.0f} read, "
                    f"{row['rss_anon_mib']:.0f} MiB, {row['cpu_cores']:.2f} cores, {row['disk_mib']:.0f} MiB on disk")


def run(options, crew):
    random.seed()
    broker = Broker(options.process, options.metrics, options.data)
    load = Load(options.bootstrap, crew)
    peak = learn_peak(load, broker)
    rate = peak * HELD_SHARE
    say(f"holding {rate:.0f} records a second for {options.seconds:.0f} s")
    for topic, partitions in ((DELETED, PARTITIONS), (JAVA, PARTITIONS), (COMPACTED, COMPACTED_PARTITIONS)):
        load.create(topic, partitions)
    load.start_mixed(rate, options.seconds, options.java)
    samples = Samples(broker, os.path.join(options.results, "samples.csv"))
    hold(load, samples, options.seconds)

    say("the end: what was produced is read")
    load.dismiss("producer", "keyed", "replay", "churn")
    load.drain()
    deadline = time.monotonic() + PATIENCE_S
    while "java" in crew.workers and time.monotonic() < deadline:
        load.hear(0.5)
    load.dismiss("soak")
    statements_of_soak.about_load(load, samples, rate)
    load.delete([DELETED, JAVA, COMPACTED])
    say(f"all topics are gone; {SETTLE_S} s to settle")
    time.sleep(SETTLE_S)
    samples.take(load.consumed())
    statements_of_soak.about_broker(load, samples, broker)
    say("what happened: " + ", ".join(f"{what} {count}" for what, count in sorted(load.counts.items())))


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    crew = Crew(options.results)
    try:
        run(options, crew)
    finally:
        crew.end()
    end()


main()
