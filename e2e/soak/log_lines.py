"""log_lines.py SERVER_LOG EXPLAINED: are there lines of WARN or ERROR in a broker's log that EXPLAINED does not list?

EXPLAINED has a line for each kind: a regular expression, " | ", and the reason. Empty lines and those that begin with # do not count.
"""
import json
import os
import re
import sys
from collections import Counter

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from statements import end, states

SHOWN = 10


def explanations(path):
    with open(path) as lines:
        for line in map(str.strip, lines):
            if line and not line.startswith("#"):
                pattern, bar, reason = line.partition(" | ")
                if not bar or not reason.strip():
                    raise SystemExit(f"{path}: `{line}` gives no reason: PATTERN | REASON")
                yield re.compile(pattern)


def worth_a_look(line):
    """A line that is not the broker's, a panic's say, is as bad as an error."""
    try:
        return json.loads(line)["level"] in ("WARN", "ERROR")
    except (ValueError, KeyError, TypeError):
        return bool(line.strip())


@states("every WARN and ERROR in the broker's log is explained")
def _():
    explained = list(explanations(sys.argv[2]))
    unexplained = Counter()
    with open(sys.argv[1], errors="replace") as log:
        for line in log:
            if worth_a_look(line) and not any(pattern.search(line) for pattern in explained):
                unexplained[line.rstrip()] += 1
    for line in list(unexplained)[:SHOWN]:
        print("   ", line)
    if unexplained:
        raise AssertionError(f"{sum(unexplained.values())} lines are not, the first {min(SHOWN, len(unexplained))} above")


end()
