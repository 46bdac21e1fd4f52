"""matrix.py RESULTS PAGE: writes what run.sh told of each client into the table of a page.

RESULTS has a line for each client and broker: client, broker, what it calls itself, statements that hold, known gaps, exit code, with
tabs between; of several the last counts. The table stands between two marks in the page. Fails when a client failed, or was run against
one broker only; who was not run at all is said to be so.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = "<!-- written by e2e/clients/matrix.sh: begin -->", "<!-- written by e2e/clients/matrix.sh: end -->"
# Client: language, what it shows. In the order of the table.
CLIENTS = {
    "java": ("Java", "producer, consumer, administrator"),
    "newer-java": ("Java", "the consumer protocol (KIP-848)"),
    "streams": ("Java", "word count, at least once"),
    "connect": ("Java", "standalone, file source and sink"),
    "tools": ("shell", "Kafka's command line tools"),
    "groups": ("shell", "those of the tools that read in a group"),
    "cluster-tools": ("shell", "quorum, features, leaders, replicas, quotas, clients' metrics"),
    "newer-tools": ("shell", "the same, by the consumer protocol"),
    "librdkafka": ("Python", "librdkafka by confluent-kafka"),
    "newer-librdkafka": ("Python", "the same, by the consumer protocol"),
    "kafka-python": ("Python", "pure Python"),
    "aiokafka": ("Python", "asyncio"),
    "kafkajs": ("JavaScript", "old versions of the protocol only"),
    "platformatic": ("JavaScript", "both group protocols"),
    "franz-go": ("Go", "both group protocols"),
    "sarama": ("Go", "also as a client of Kafka 2.1, 2.8 and 3.6"),
    "kafka-go": ("Go", "of segmentio"),
    "rdkafka": ("Rust", "librdkafka by crate rdkafka, both group protocols"),
    "c": ("C", "librdkafka as Debian has it"),
    "kcat": ("C", "librdkafka as Debian has it"),
}


def results(path):
    told = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            client, broker, title, held, gaps, code = line.rstrip("\n").split("\t")
            # kcat goes on with what it was built with.
            title = title.split(" (")[0].rstrip(",").replace("Version", "kcat")
            told[client, broker] = (title, int(held), int(gaps), int(code))
    return told


def known_gaps():
    gaps = {}
    with open(os.path.join(HERE, "gaps.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                client, statement, reason = (part.strip() for part in line.split("|"))
                gaps.setdefault(client, []).append((statement, reason))
    return gaps


def table(told):
    gaps = known_gaps()
    rows = ["| client | language | what | Apache Kafka | Millrace | not served yet |", "|---|---|---|--:|--:|---|"]
    total = {"kafka": 0, "millrace": 0}
    for client, (language, what) in CLIENTS.items():
        runs = {(client, "kafka"), (client, "millrace")} & told.keys()
        if not runs:
            rows.append(f"| `{client}` | {language} | {what} | not run | not run | |")
            continue
        if len(runs) == 1:
            sys.exit(f"matrix.py: {client} was not run against both brokers")
        of = {broker: told[client, broker] for broker in total}
        for broker, (_, held, _, code) in of.items():
            if code:
                sys.exit(f"matrix.py: {client} failed against {broker}")
            total[broker] += held
        reasons = sorted({reason.removesuffix(" is not served yet").removesuffix(" are not served yet") for _, reason in gaps.get(client, [])})
        rows.append(f"| `{client}`: {of['millrace'][0] or client} | {language} | {what} | {of['kafka'][1]} | {of['millrace'][1]} | {', '.join(reasons)} |")
    rows.append(f"| | | statements that hold | {total['kafka']} | {total['millrace']} | |")
    return rows


def gap_list():
    rows = ["", "What is stated of Kafka and does not hold for Millrace yet, each a known gap in `e2e/clients/gaps.txt`:", "", "| client | statement | why |", "|---|---|---|"]
    for client, gaps in known_gaps().items():
        rows += [f"| `{client}` | {statement} | {reason} |" for statement, reason in gaps]
    return rows


def main():
    told = results(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        page = file.read()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    written = "\n".join([BEGIN, *table(told), *gap_list(), END])
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(before + written + after)


main()
