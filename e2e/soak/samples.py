"""A line about the broker every few seconds: what the system and its own metrics say of it. Goes to samples.csv."""
import csv
import os
import re
import time
import urllib.request

COLUMNS = ["second", "rss_anon_mib", "rss_mib", "fds", "threads", "disk_mib", "cpu_cores", "produced_per_s", "consumed_per_s", "topics",
           "partitions", "connections", "log_mib", "families_mib"]
MIB = 1 << 20
SERIES = re.compile(r"(\w+)(\{.*\})? (\S+)")
PRODUCED = "millrace_topic_produced_records_total"
# The topics that live as long as the soak: one that is deleted takes its count with it.
LASTING = 'topic="soak-'


def disk_bytes(folder):
    """Blocks, not lengths: the log's segments are allocated before they are full."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # removed meanwhile
    return total


class Broker:
    def __init__(self, process_id, metrics, data):
        self.process_id, self.metrics, self.data = process_id, metrics, data

    def status(self):
        with open(f"/proc/{self.process_id}/status") as lines:
            return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)

    def cpu_s(self):
        with open(f"/proc/{self.process_id}/stat") as line:
            # Behind the name, which may hold blanks: fields 14 and 15 are the times.
            fields = line.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def scrape(self):
        """The metrics, those of one name added up."""
        sums = {}
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                series = SERIES.fullmatch(line)
                if series and (series[1] != PRODUCED or LASTING in series[2]):
                    sums[series[1]] = sums.get(series[1], 0) + float(series[3])
        return sums

    def produced(self):
        return self.scrape().get(PRODUCED, 0)


class Samples:
    def __init__(self, broker, path):
        self.broker, self.file = broker, open(path, "w", newline="")
        self.rows, self.writer = [], csv.DictWriter(self.file, COLUMNS)
        self.writer.writeheader()
        self.begun = self.at = time.monotonic()
        self.cpu_s, self.produced, self.consumed = broker.cpu_s(), broker.produced(), None

    def take(self, consumed):
        """consumed: the records that were read until now."""
        now, cpu_s, metrics, status = time.monotonic(), self.broker.cpu_s(), self.broker.scrape(), self.broker.status()
        produced, passed = metrics.get(PRODUCED, 0), now - self.at
        before = consumed if self.consumed is None else self.consumed
        row = {"second": round(now - self.begun),
               "rss_anon_mib": int(status["RssAnon"].split()[0]) / 1024, "rss_mib": int(status["VmRSS"].split()[0]) / 1024,
               "fds": len(os.listdir(f"/proc/{self.broker.process_id}/fd")), "threads": int(status["Threads"]),
               "disk_mib": disk_bytes(self.broker.data) / MIB, "cpu_cores": (cpu_s - self.cpu_s) / passed,
               # When the lasting topics are gone, so are their counts.
               "produced_per_s": max(0, produced - self.produced) / passed, "consumed_per_s": (consumed - before) / passed,
               "topics": metrics.get("millrace_topics"), "partitions": metrics.get("millrace_partitions"),
               "connections": metrics.get("millrace_connections"), "log_mib": metrics.get("millrace_log_size_bytes", 0) / MIB,
               "families_mib": metrics.get("millrace_family_size_bytes", 0) / MIB}
        self.at, self.cpu_s, self.produced, self.consumed = now, cpu_s, produced, consumed
        self.rows.append(row)
        self.writer.writerow({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()})
        self.file.flush()
