"""Kafka's own admin client, which waits for a broker that is away and knows groups of both protocols, as a process that is asked."""
import subprocess
import threading
from dataclasses import dataclass


class Refusal(Exception):
    """Its text begins with the refusal's class."""


@dataclass
class Commit:
    offset: int
    metadata: str


@dataclass
class Described:
    """A member as the coordinator sees it; `protocol` is told of members of a group of the newer protocol only."""
    client_id: str
    member_id: str
    instance: str | None
    epoch: int | None
    protocol: str | None
    owned: set
    target: set


@dataclass
class Group:
    state: str
    type: str
    epoch: int | None
    assignor: str | None
    members: list


def partitions(text):
    return set() if text == "-" else set(text.split(","))


def known(text):
    return None if text == "-" else text


def number(text):
    return None if text == "-" else int(text)


class Administrator:
    def __init__(self, command, bootstrap, log):
        self._lock = threading.Lock()
        self._errors = open(log, "ab")
        self._process = subprocess.Popen([*command, bootstrap], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)

    def _ask(self, *words):
        with self._lock:
            self._process.stdin.write(" ".join(map(str, words)) + "\n")
            self._process.stdin.flush()
            told = []
            for line in self._process.stdout:
                line = line.rstrip("\n")
                if line == ".":
                    return [line.split(" ") for line in told]
                if line.startswith("! "):
                    raise Refusal(line[2:])
                told.append(line)
        raise AssertionError("the administrator ended by itself")

    def describe(self, group):
        (_, state, kind, epoch, assignor), *members = self._ask("describe", group)
        return Group(state, kind, number(epoch), known(assignor), [
            Described(client, member, known(instance), number(at), known(protocol), partitions(owned), partitions(target))
            for _, client, member, instance, at, protocol, owned, target in members])

    def offsets(self, group):
        """Of each partition by its name, `topic:number`."""
        return {f"{topic}:{p}": Commit(int(offset), " ".join(metadata))
                for _, topic, p, offset, *metadata in self._ask("offsets", group)}

    def create(self, topic, count):
        self._ask("create", topic, count)

    def grow(self, topic, count):
        self._ask("grow", topic, count)

    def delete(self, topic):
        self._ask("delete", topic)

    def configure(self, group, **settings):
        self._ask("configure", group, *(f"{key.replace('_', '.')}={value}" for key, value in settings.items()))

    def end(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
