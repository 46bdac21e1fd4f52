"""What the samples and the ledgers come to: a table of medians by quarter, and statements that hold or do not."""
from statistics import median

# Of what was aimed at.
RATE_TOLERANCE = 0.2
# Growth from the second quarter to the last that is more than noise: more than this share, and more than this much.
GROWTH_SHARE = 0.1
FLAT = {"rss_anon_mib": 32, "fds": 64, "threads": 4, "disk_mib": 512}
# Below this, caches still fill and the allocator still learns: nothing can be said.
JUDGED_FROM_S = 600
TABLE = ["rss_anon_mib", "rss_mib", "fds", "threads", "disk_mib", "cpu_cores", "produced_per_s", "consumed_per_s"]


def quarters(rows):
    size = len(rows) / 4
    return [rows[round(i * size):round((i + 1) * size)] for i in range(4)]


def medians(rows):
    """By column, the median of each quarter."""
    return {column: [median(row[column] for row in quarter) for quarter in quarters(rows)] for column in TABLE}


def print_table(by_quarter):
    print(f"{'median of quarter':>18}" + "".join(f"{i:>12}" for i in (1, 2, 3, 4)))
    for column, values in by_quarter.items():
        digits = 2 if column == "cpu_cores" else 0
        print(f"{column:>18}" + "".join(f"{value:>12.{digits}f}" for value in values), flush=True)


def growth(by_quarter, column):
    """Why this is not flat, or None."""
    second, last = by_quarter[column][1], by_quarter[column][3]
    if last > second * (1 + GROWTH_SHARE) and last - second > FLAT[column]:
        return f"{column}: {second:.0f} in the second quarter and {last:.0f} in the last"
    return None


def flat(rows, by_quarter, column):
    """Raises when a column grew."""
    if len(rows) < 8:
        raise AssertionError(f"only {len(rows)} samples were taken")
    if why := growth(by_quarter, column):
        raise AssertionError(why)
