"""Two answers side by side: what may differ, and why. Everything else is a difference."""
import collections
import re
import tomllib

# Field -> (what stands for it on both sides, why it may differ). The stand-in keeps what matters: absent or present.
ALLOWED = {
    "ClusterId": (lambda v: v and "<cluster id>", "each cluster has its own id"),
    "Host": (lambda v: v and "<host>", "each broker has its own address"),
    "Port": (lambda v: "<port>" if v > 0 else v, "each broker has its own address"),
    "TopicId": (lambda v: v if set(v) <= set("0-") else "<topic id>", "ids are drawn at random"),
    "SessionId": (lambda v: "<session>" if v else 0, "ids are drawn at random"),
    "ClientInstanceId": (lambda v: v if set(v) <= set("0-") else "<client instance id>", "ids are drawn at random"),
    "SubscriptionId": (lambda v: v and "<subscription>", "each broker computes it in its own way"),
    "ProducerId": (lambda v: "<producer id>" if v >= 0 else v, "ids are given out in turn, and what ran before took some"),
    "LogAppendTimeMs": (lambda v: "<time>" if v >= 0 else v, "the clock goes on"),
    "LastTimestamp": (lambda v: "<time>" if v > 0 else v, "the clock goes on"),
    "LogDir": (lambda v: v and "<log dir>", "each broker has its own folder"),
    "TotalBytes": (lambda v: "<bytes>" if v > 0 else v, "what the disk says"),
    "UsableBytes": (lambda v: "<bytes>" if v > 0 else v, "what the disk says"),
    "PartitionSize": (lambda v: "<bytes>" if v > 0 else v, "what a partition takes on disk is the broker's own affair"),
    "ErrorMessage": (lambda v: v if not v else "<text>", "wording is for people; that there is one is compared"),
    "BatchIndexErrorMessage": (lambda v: v if not v else "<text>", "wording is for people; that there is one is compared"),
    "Documentation": (lambda v: v and "<text>", "wording is for people; that there is some is compared"),
    "FinalizedFeaturesEpoch": (lambda v: "<epoch>" if v >= 0 else v, "counts the metadata's changes"),
}

# ApiVersions is compared by what a client may conclude from it.
FEATURES = "features are advertised when they work; each is another test's matter"
TELEMETRY = {71, 72}
WITH_PLUGIN = "Kafka offers the requests of clients' own metrics only with a plugin that takes them; Millrace takes them itself"
FEWER_APIS = "an api that is not served yet is not advertised"


def normal(value, side, name=None):
    """The value with all that may differ replaced; a topic named for this side loses the side's mark."""
    if name in ALLOWED and value is not None:
        return ALLOWED[name][0](value)
    if isinstance(value, dict):
        return {k: normal(v, side, k) for k, v in value.items()}
    if isinstance(value, list):
        return [normal(v, side, name) for v in value]
    if isinstance(value, str):
        return value.replace(f"-{side}-", "-*-")
    if isinstance(value, bytes):
        return value.hex()
    return value


def api_versions(kafka, other):
    """Takes out what may differ; gives the two and what was taken out."""
    explained = []
    if not isinstance(kafka, dict) or not isinstance(other, dict):
        return kafka, other, explained
    kafka, other = dict(kafka), dict(other)
    for field in ("SupportedFeatures", "FinalizedFeatures", "FinalizedFeaturesEpoch"):
        if kafka.pop(field, None) != other.pop(field, None):
            explained.append(f"{field}: {FEATURES}")
    theirs = {a["ApiKey"]: a for a in kafka["ApiKeys"]}
    ours = {a["ApiKey"]: a for a in other["ApiKeys"]}
    extra = sorted(set(ours) - set(theirs))
    if extra and set(extra) <= TELEMETRY:
        explained.append(f"api keys {extra}: {WITH_PLUGIN}")
        ours = {k: a for k, a in ours.items() if k not in extra}
        other["ApiKeys"] = list(ours.values())
    missing = sorted(set(theirs) - set(ours))
    if missing and set(ours) < set(theirs):
        explained.append(f"api keys {missing}: {FEWER_APIS}")
        kafka["ApiKeys"] = [a for a in kafka["ApiKeys"] if a["ApiKey"] in ours]
    kafka["ApiKeys"] = sorted(kafka["ApiKeys"], key=lambda a: a["ApiKey"])
    other["ApiKeys"] = sorted(other["ApiKeys"], key=lambda a: a["ApiKey"])
    return kafka, other, explained


UNFORESEEN = "Kafka says UNKNOWN_SERVER_ERROR, for it did not foresee this; another broker may say more precisely what is wrong, but not that all is well"
UNANSWERED = "Kafka leaves this request without an answer; another broker may refuse it or close the connection"


def unforeseen(kafka, other):
    """Takes out the errors Kafka did not foresee and another broker names; gives how many."""
    if isinstance(kafka, list) and isinstance(other, list) and len(kafka) == len(other):
        return sum(unforeseen(a, b) for a, b in zip(kafka, other))
    if not isinstance(kafka, dict) or not isinstance(other, dict):
        return 0
    count = sum(unforeseen(kafka[key], other.get(key)) for key in kafka)
    if kafka.get("ErrorCode") == -1 and other.get("ErrorCode") not in (0, -1, None):
        for field in ("ErrorCode", "ErrorMessage"):
            kafka.pop(field, None)
            other.pop(field, None)
        count += 1
    return count


def differences(kafka, other, path=""):
    """Paths at which the two are not the same, with both values."""
    if isinstance(kafka, dict) and isinstance(other, dict):
        found = []
        for key in [*kafka, *(k for k in other if k not in kafka)]:
            found += differences(kafka.get(key, "absent"), other.get(key, "absent"), f"{path}.{key}" if path else key)
        return found
    if isinstance(kafka, list) and isinstance(other, list):
        if len(kafka) == len(other):
            return [d for i, (a, b) in enumerate(zip(kafka, other)) for d in differences(a, b, f"{path}[{i}]")]
        if names(kafka) and names(other):
            theirs, ours = ({v["Name"]: v for v in values} for values in (kafka, other))
            both = [n for n in theirs if n in ours]
            return [f"{path}: {apart(kafka, other)}"] + [d for n in both for d in differences(theirs[n], ours[n], f"{path}[{n}]")]
    return [] if kafka == other else [f"{path or 'answer'}: {apart(kafka, other)}"]


def names(values):
    """Whether each of some has a name of its own."""
    return all(isinstance(v, dict) and v.get("Name") is not None for v in values) and len({v["Name"] for v in values}) == len(values)


def apart(kafka, other):
    """In a few words: lists of named things by the names, long bytes by where they part."""
    if isinstance(kafka, list) and isinstance(other, list) and all(isinstance(v, dict) and "Name" in v for v in kafka + other):
        theirs, ours = [v["Name"] for v in kafka], [v["Name"] for v in other]
        return f"only kafka has {[n for n in theirs if n not in ours]}, only the other has {[n for n in ours if n not in theirs]}"
    if isinstance(kafka, str) and isinstance(other, str) and min(len(kafka), len(other)) > 80:
        at = next((i for i, (a, b) in enumerate(zip(kafka, other)) if a != b), min(len(kafka), len(other)))
        return f"from character {at} on: kafka ...{shown(kafka[max(0, at - 20):at + 60])}, other ...{shown(other[max(0, at - 20):at + 60])}"
    return f"kafka {shown(kafka)}, other {shown(other)}"


class Explained:
    """The differences that are known and why they are there: explained.toml. One that is there no more must go from it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            entries = tomllib.load(file)["explained"]
        self.entries = [(re.compile(e["case"]), re.compile(e["difference"]), e["reason"]) for e in entries]
        self.counts = collections.Counter()

    def split(self, case, found):
        """The differences that nothing explains, and the reasons of the others."""
        unexplained, reasons = [], []
        for difference in found:
            for i, (of_case, of_difference, reason) in enumerate(self.entries):
                if of_case.fullmatch(case) and of_difference.fullmatch(difference):
                    self.counts[i] += 1
                    reasons.append(reason)
                    break
            else:
                unexplained.append(difference)
        return unexplained, reasons

    def idle(self):
        """The entries that explained nothing."""
        return [f"{case.pattern} | {difference.pattern}" for i, (case, difference, _) in enumerate(self.entries) if not self.counts[i]]


def shown(value):
    text = re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= 160 else f"{text[:160]}... ({len(text)} characters)"


def errors(answer):
    """Every error code in an answer but 0, in order, each once."""
    found = []

    def walk(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "ErrorCode" and inner and inner not in found:
                    found.append(inner)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
    walk(answer)
    return found
