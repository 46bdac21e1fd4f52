"""What a soak states, in e2e/clients/statements.py's words. A statement that cannot be judged says so and is not counted."""
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions

import compacted
import quarters
from load import COMPACTED, COMPACTED_PARTITIONS, DELETED, JAVA, PARTITIONS
from role import PATIENCE_S, reader
from statements import expect, states

# The two topics keep at most 64 MiB a partition; the log, what is not removed yet and the peak's rest come on top.
DISK_MIB = 5120
# Without topics there are the log's segments, which are used again.
EMPTY_DISK_MIB = 1024
SHOWN = 5


def none(troubles, count=None):
    if troubles:
        for trouble in troubles[:SHOWN]:
            print("   ", trouble)
        raise AssertionError(f"{count or len(troubles)} times, the first {min(SHOWN, len(troubles))} above")


def about_load(load, samples, rate):
    rows = samples.rows

    @states("the rate was held within 20 %")
    def _():
        held = sum(row["produced_per_s"] for row in rows) / len(rows)
        if abs(held - rate) > rate * quarters.RATE_TOLERANCE:
            raise AssertionError(f"{held:.0f} records a second instead of {rate:.0f}")

    @states("every client ended as it was told to, and none met what must not happen")
    def _():
        none(load.crew.troubles + load.troubles, len(load.crew.troubles) + load.trouble_count)

    sent = {str(facts["producer"]): facts["records"] for facts in load.facts.values() if isinstance(facts, dict) and facts["kind"] == "sent"}
    for group, ledger in load.ledgers.items():
        @states(f"{group}: no record was lost, doubled or out of order, and no partition had two owners in a generation")
        def _():
            ledger.check_end(sent)
            none(ledger.troubles, ledger.trouble_count)
            print(f"    {ledger.records} read by {ledger.owners} owners, {ledger.repeated} again after a rebalance, {ledger.expired} expired before")

        @states(f"{group}: what it read last is what it has committed")
        def _():
            ends = dict(enumerate(load.ends(DELETED)))
            (future,) = load.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
            kept = {p.partition: p.offset for p in future.result(PATIENCE_S).topic_partitions}
            expect("the committed offsets", ends, kept)

    @states("as many records are there as were acknowledged")
    def _():
        expect("producers", load_producers(load), len(sent))
        expect("the ends of the partitions", [sum(of) for of in zip(*sent.values())], load.ends(DELETED))
        if "java records" in load.facts:
            expect("what Java's producer has sent", load.facts["java records"], sum(load.ends(JAVA)))

    @states("retention ran: less than half of what was produced is kept")
    def _():
        marks = [load.watermarks(DELETED, p) for p in range(PARTITIONS)]
        kept, ends = sum(high - low for low, high in marks), sum(high for _, high in marks)
        judged(kept < ends / 2, samples, f"{kept} of {ends} records are kept")

    @states("of each key the newest acknowledged version is there after compaction")
    def _():
        told = load.facts["keyed"]
        consumer = Consumer(reader(load.bootstrap, "soak-newest"))
        newest, count, broken = compacted.read(consumer, COMPACTED, COMPACTED_PARTITIONS)
        consumer.close()
        none(broken)
        none([f"key {key}: {wanted} was acknowledged last, and {found} found" for key, wanted, found in compacted.missing(told["versions"], newest)])
        print(f"    {count} records are left of {told['written']}")
        judged(count < told["written"] / 2, samples, f"compaction left {count} of {told['written']}")


def load_producers(load):
    return sum(name.startswith("producer-") for name in load.facts)


def judged(holds, samples, why):
    """What only a long run can show."""
    if samples.rows[-1]["second"] < quarters.JUDGED_FROM_S:
        print(f"    the run was too short to judge: {why}")
    elif not holds:
        raise AssertionError(why)


def about_broker(load, samples, broker):
    rows, settled = samples.rows[:-1], samples.rows[-1]
    by_quarter = quarters.medians(rows)
    quarters.print_table(by_quarter)
    if rows[-1]["second"] < quarters.JUDGED_FROM_S:
        print(f"# {rows[-1]['second']} s are too short to judge whether memory, files, threads and disk are flat: that takes {quarters.JUDGED_FROM_S} s")
    else:
        for column, what in {"rss_anon_mib": "memory", "fds": "the number of open files", "threads": "the number of threads", "disk_mib": "the disk"}.items():
            @states(f"{what} is flat from the second quarter to the last")
            def _():
                quarters.flat(rows, by_quarter, column)

    @states("the disk is bounded")
    def _():
        most = max(row["disk_mib"] for row in rows)
        if most > DISK_MIB:
            raise AssertionError(f"{most:.0f} MiB at most, which is more than {DISK_MIB}")

    @states("topics that are deleted leave the disk, and the broker's count")
    def _():
        if settled["disk_mib"] > EMPTY_DISK_MIB:
            raise AssertionError(f"{settled['disk_mib']:.0f} MiB are left, which is more than {EMPTY_DISK_MIB}")
        left = [topic for topic in load.admin.list_topics(timeout=PATIENCE_S).topics if not topic.startswith("__")]
        expect("topics", [], left)

    @states("the broker still answers, and its groups can be deleted")
    def _():
        load.delete_groups()
    print(f"# at the end: {settled['rss_anon_mib']:.0f} MiB RssAnon, {settled['fds']} open files, {settled['disk_mib']:.0f} MiB on disk", flush=True)
