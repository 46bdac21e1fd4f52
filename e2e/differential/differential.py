"""differential.py --jar KAFKA_CLIENTS_JAR [--explained FILE] [--only GROUP] [--verbose] KAFKA OTHER

Sends the same raw requests, good and bad, to Apache Kafka and to another broker, and compares the answers field by field. What no two
brokers share is in compare.py; what the other broker does otherwise, and why, in the file of explanations. Any other difference fails,
and so does an explanation that nothing needs any more. An error code that is expected of Kafka is stated with the case, so that a case
which tests nothing fails too.
"""
import argparse
import collections
import sys
import time

import admin_cases
import cluster_cases
import compare
import data_cases
import frame_cases
from protocol import CLOSED, SILENT, Protocol
from side import Side

GROUPS = (admin_cases.versions, admin_cases.metadata, admin_cases.topics, admin_cases.configs, admin_cases.group_configs,
          admin_cases.quotas, admin_cases.throttling, cluster_cases.quorum, cluster_cases.features, cluster_cases.elections,
          cluster_cases.reassignments, cluster_cases.directories, cluster_cases.brokers, cluster_cases.telemetry, data_cases.produce,
          data_cases.idempotence, data_cases.fetching, data_cases.offsets, frame_cases.frames)
ERRORS = {code: name for name, code in data_cases.CODES.items()}


def judge(name, kafka, other, expected, sides, known):
    """The differences, the explained ones, and what Kafka said in short."""
    found, explained = [], []
    got = kafka if isinstance(kafka, str) else compare.errors(kafka)
    if expected is not None and got != expected:
        found.append(f"kafka itself: expected {expected}, got {got}: {compare.shown(kafka)}")
    said = got if isinstance(got, str) else ", ".join(ERRORS.get(c, str(c)) for c in got) or "no error"
    if name.startswith("ApiVersions"):
        kafka, other, explained = compare.api_versions(kafka, other)
    kafka, other = (compare.normal(answer, side.mark) for answer, side in zip((kafka, other), sides))
    explained += [compare.UNFORESEEN] * compare.unforeseen(kafka, other)
    if kafka == SILENT and (other == CLOSED or isinstance(other, dict) and compare.errors(other)):
        return found, [*explained, compare.UNANSWERED], said
    differences = compare.differences(kafka, other)
    if known:
        differences, reasons = known.split(name, differences)
        explained += reasons
    return found + differences, explained, said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jar", required=True)
    parser.add_argument("--verbose", action="store_true", help="print what Kafka answered")
    parser.add_argument("--explained", help="the differences that are known, with their reasons")
    parser.add_argument("--only", default="", help="only groups whose name contains this")
    parser.add_argument("kafka")
    parser.add_argument("other")
    arguments = parser.parse_args()
    protocol, run = Protocol(arguments.jar), format(time.time_ns() // 1_000_000, "x")
    # The marks are of one length: nothing that depends on a name's length differs by them.
    sides = [Side(protocol, arguments.kafka, "k", run), Side(protocol, arguments.other, "o", run)]
    known = compare.Explained(arguments.explained) if arguments.explained else None
    held = failed = 0
    reasons = collections.Counter()
    for group in GROUPS:
        if arguments.only not in group.__name__:
            continue
        try:
            # In step, case by case: what waits on time waits on both.
            for (name, kafka, expected), (_, other, _) in zip(*(group(side) for side in sides), strict=True):
                if arguments.verbose:
                    print(f"   {compare.shown(kafka)}")
                found, explained, said = judge(name, kafka, other, expected, sides, known)
                reasons.update(explained)
                if found:
                    failed += 1
                    print(f"FAIL {name}: {'; '.join(found[:5])}{f' and {len(found) - 5} more' if len(found) > 5 else ''}", flush=True)
                else:
                    held += 1
                    print(f"ok {name} ({said})", flush=True)
        except (AssertionError, OSError, TypeError, KeyError, ValueError) as error:
            failed += 1
            print(f"FAIL {group.__name__}: the group could not go on: {type(error).__name__}: {error}", flush=True)
    # Only a whole run tells.
    for entry in known.idle() if known and not arguments.only else ():
        failed += 1
        print(f"FAIL explained.toml: nothing differs so any more: {entry}")
    for reason, count in sorted(reasons.items()):
        print(f"explained, {count} times: {reason}")
    for field, (_, why) in compare.ALLOWED.items():
        print(f"allowed everywhere: {field}: {why}")
    print(f"{held} cases are answered alike, {failed} are not")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
