"""What every client of the chaos shares: a process that works until its standard input ends, and writes down what happens (../history.py).

The driver closes a role's input to let it leave politely; when the driver itself is gone the input ends as well.
"""
import os
import random
import threading
import time

# A record is this long, or up to so much longer, by its sequence.
VALUE_BYTES, VALUE_MORE_BYTES = 64, 512
# Sent and not heard of yet, by one producer: as many records as a few seconds bring.
PENDING_LIMIT = 400
# How long a producer tries, another one each time. One that gives up may double what it has sent (../checker.py), so most are more patient
# than any outage.
DELIVERY_S = (8, 120, 120, 120)
# Somebody who was cut off is asked again elsewhere after this long.
REQUEST_S = 10
# A producer's and a reader's life.
REOPEN_S = (15, 40)

leaving = threading.Event()


def begin():
    def await_end():
        # Not by sys.stdin: a thread that waits in its lock would abort the program at its end.
        while os.read(0, 4096):
            pass
        leaving.set()
    threading.Thread(target=await_end, daemon=True).start()


def encode(producer, partition, sequence):
    """What a record must be, byte for byte: whoever reads it can tell."""
    head = f"{producer} {partition} {sequence} ".encode()
    return head + b"." * (VALUE_BYTES + sequence * 37 % VALUE_MORE_BYTES)


def decode(partition, value):
    """The record's producer and sequence, or nothing when nobody wrote such a record to this partition."""
    try:
        producer, of, sequence, _ = value.decode().split(" ", 3)
        if of == partition and encode(producer, partition, int(sequence)) == value:
            return producer, int(sequence)
    except (AttributeError, ValueError, UnicodeDecodeError):
        pass
    return None


def partitions_of(text):
    """ledger:8,other:4 -> the names of all partitions, and what they are to a client."""
    return {f"{topic}-{number}": (topic, number) for topic, count in (part.split(":") for part in text.split(",")) for number in range(int(count))}


class Journal:
    """Threads of a client write here, too."""

    def __init__(self, file):
        self.file, self.lock = open(file, "a", encoding="utf-8"), threading.Lock()

    def write(self, kind, *facts):
        line = " ".join((kind, *map(str, facts))).replace("\n", " ") + "\n"
        with self.lock:
            self.file.write(line)

    def flush(self):
        with self.lock:
            self.file.flush()

    def broken(self, what):
        self.write("v", now(), what)
        self.flush()


def now():
    return f"{time.monotonic():.6f}"


class Numbered:
    """One producer's records: numbered in each partition, and what became of them."""

    def __init__(self, journal, name, partitions):
        self.journal, self.name, self.next, self.pending = journal, name, dict.fromkeys(partitions, 0), 0
        self.order = list(partitions)

    def new(self):
        partition = random.choice(self.order)
        sequence = self.next[partition]
        self.next[partition] += 1
        self.pending += 1
        self.journal.write("s", partition, self.name, sequence)
        return partition, sequence, encode(self.name, partition, sequence)

    def acknowledged(self, partition, sequence, offset):
        self.pending -= 1
        if offset is None or offset < 0:
            # A duplicate, and where the first one lies is forgotten: that it is there is all that is known.
            self.journal.write("w", partition, self.name, sequence, now())
        else:
            self.journal.write("a", partition, self.name, sequence, offset, now())

    def unknown(self, partition, sequence, why):
        self.pending -= 1
        self.journal.write("u", partition, self.name, sequence, now(), why)

    def never_sent(self, partition, sequence, why):
        self.pending -= 1
        self.journal.write("f", partition, self.name, sequence, now(), why)


class Pace:
    """How many records are due; what an outage has held up is not made up for."""

    def __init__(self, rate):
        self.rate, self.next = rate, time.monotonic()

    def wait(self):
        """Until the next record is due; at most a tenth of a second."""
        left = self.next - time.monotonic()
        if left > 0:
            time.sleep(min(left, 0.1))
        return left <= 0.1

    def took(self):
        self.next = max(self.next, time.monotonic() - 0.5) + 1 / self.rate
