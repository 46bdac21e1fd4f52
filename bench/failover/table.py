"""table.py RESULTS RUNS LOAD_MB KAFKA_VERSION KAFKA_HEAP "SYSTEMS": median and worst of each case, side by side, and below them every run."""
import sys
from statistics import median

RESULTS, RUNS, LOAD_MB, VERSION, HEAP, SYSTEMS = sys.argv[1:7]
CASES = {"partitions": "kill -9, leads partitions only", "metadata": "kill -9, leads the metadata as well", "planned": "SIGTERM"}
NAMES = {"kafka": f"Apache Kafka {VERSION}", "millrace": "Millrace"}

rows = {}
with open(RESULTS, encoding="utf-8") as lines:
    for line in lines:
        system, case, _, gap, back, late, load = line.split("\t")
        rows.setdefault((system, case), []).append((int(gap), int(back), int(late), float(load)))

systems = SYSTEMS.split()
print(f"The longest time any of 30 partitions (RF 3, acks=all, a record each every 20 ms) went without an acknowledgement, ms: median and worst of")
print(f"{RUNS} runs, with {LOAD_MB} MB/s beside. Kafka's heap is {HEAP}. In brackets the worst while the node came back.\n")
print("| | " + " | ".join(NAMES[system] for system in systems) + " |")
print("|---|" + "---|" * len(systems))
for case, what in CASES.items():
    cells = []
    for system in systems:
        of = rows.get((system, case), [])
        gaps = [row[0] for row in of]
        cells.append(f"{median(gaps):.0f}, worst {max(gaps)} ({max(row[1] for row in of)})" + (f", {len(of)} runs" if str(len(of)) != RUNS else "") if of else "-")
    print(f"| {what} | " + " | ".join(cells) + " |")
print()
for (system, case), of in sorted(rows.items()):
    print(f"{system}, {case}: " + " ".join(str(row[0]) for row in of) + f"; the prober was {max(row[2] for row in of)} ms late at most, load {min(row[3] for row in of)} to {max(row[3] for row in of)}")
