"""How long nobody's records were acknowledged, by fault: from one acknowledgement to the next, in the whole cluster and in one partition."""
from bisect import bisect_right
from statistics import median


def gaps(history):
    """A row by fault, in their order: its name and targets, the longest gap anywhere and in a partition, and how long it took to heal."""
    by_partition = {name: sorted(p.acknowledged_at) for name, p in history.partitions.items() if p.acknowledged_at}
    everywhere = sorted(time for times in by_partition.values() for time in times)
    rows = []
    for fault, following in zip(history.faults, [*history.faults[1:], None]):
        until = following.began if following else everywhere[-1] if everywhere else fault.began
        worst, where = max(((longest(times, fault.began, until), name) for name, times in by_partition.items()), default=(0.0, ""))
        rows.append({
            "fault": fault.name, "targets": fault.targets,
            "lasted_s": round(fault.ended - fault.began, 3) if fault.ended else None,
            "in_sync_after_s": round(fault.healed - fault.ended, 3) if fault.healed and fault.ended else None,
            "longest_gap_s": round(longest(everywhere, fault.began, until), 3),
            "longest_gap_of_a_partition_s": round(worst, 3), "partition": where})
    return rows


def longest(times, begin, end):
    """The longest gap between begin and end; what lies before or behind is another fault's."""
    first = max(0, bisect_right(times, begin) - 1)
    found = 0.0
    for before, after in zip(times[first:], times[first + 1:]):
        if before >= end:
            break
        found = max(found, min(after, end) - max(before, begin))
    if times and times[-1] < end:
        found = max(found, end - max(times[-1], begin))
    return found


def table(rows):
    yield f"{'fault':<12}{'times':>6}{'no acknowledgement anywhere':>30}{'in one partition':>20}{'in sync again':>20}"
    yield f"{'':<12}{'':>6}{'median, worst, s':>30}{'median, worst, s':>20}{'median, worst, s':>20}"
    for name in sorted({row["fault"] for row in rows}):
        of = [row for row in rows if row["fault"] == name]
        yield f"{name:<12}{len(of):>6}" + two(of, "longest_gap_s", 30) + two(of, "longest_gap_of_a_partition_s", 20) + two(of, "in_sync_after_s", 20)


def two(rows, key, width):
    values = [row[key] for row in rows if row[key] is not None]
    return f"{'-':>{width}}" if not values else f"{f'{median(values):.1f}  {max(values):.1f}':>{width}}"
