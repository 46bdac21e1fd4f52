"""What every role shares: a process that works until its standard input ends, and says what happened in lines of JSON.

The driver closes a role's input to let it leave politely; when the driver itself is gone the input ends as well, so no role outlives it.
"""
import json
import random
import struct
import sys
import threading
import time

# What a record's value begins with: who produced it, and the number it has among that producer's records of the partition (or key).
HEAD = struct.Struct("<IQ")
VALUE_BYTES = 1024
# Bytes no compressor makes smaller, the same in every run.
PADDING = random.Random(42).randbytes(VALUE_BYTES - HEAD.size)
# Records that go to one partition before the next one's turn: as many as make a batch worth its request.
CHUNK = 64
# How long a role waits for what it has sent, and for answers.
PATIENCE_S = 60

leaving = threading.Event()


def say(kind, **facts):
    sys.stdout.write(json.dumps({"kind": kind, **facts}) + "\n")
    sys.stdout.flush()


def broken(what):
    """Something that must not happen."""
    say("broken", what=what)


def _await_end():
    sys.stdin.buffer.read()
    leaving.set()


def begin():
    threading.Thread(target=_await_end, daemon=True).start()


def client(bootstrap, **settings):
    settings = {key.replace("_", "."): value for key, value in settings.items()}
    # Said on stderr from notices on; connections that idle are closed by either side, and that is no news.
    return {"bootstrap.servers": bootstrap, "log_level": 5, "log.connection.close": False, **settings}


def idempotent(bootstrap):
    return client(bootstrap, enable_idempotence=True, acks="all", linger_ms=20, queue_buffering_max_kbytes=32768,
                  delivery_timeout_ms=PATIENCE_S * 1000) | {"delivery.report.only.error": True}


def reader(bootstrap, group):
    return client(bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", check_crcs=True, fetch_min_bytes=65536,
                  fetch_wait_max_ms=200, queued_max_messages_kbytes=16384, topic_metadata_refresh_interval_ms=5000)


class Pace:
    """How many records are due at a rate; what was missed for longer than a few seconds is not made up for, so that it shows."""
    DEBT_S = 5

    def __init__(self, rate):
        self.rate, self.begun, self.sent = rate, time.monotonic(), 0

    def due(self, count):
        if not self.rate:
            return True
        now = time.monotonic()
        ahead = (now - self.begun) * self.rate - self.sent
        if ahead > self.DEBT_S * self.rate:
            self.begun, self.sent = now, 0
        return ahead >= count


class Sender:
    """An idempotent producer of librdkafka's that counts what was refused, and that begins anew as another one every so often."""

    def __init__(self, bootstrap, producer_class, reopen_s):
        self.bootstrap, self.producer_class, self.reopen_s = bootstrap, producer_class, reopen_s
        self.refused = 0
        self.open()

    def open(self):
        self.producer, self.reopen_at = self.producer_class(idempotent(self.bootstrap)), time.monotonic() + self.reopen_s

    def told(self, error, _):
        if error is not None:
            self.refused += 1
            broken(f"a record was refused: {error}")

    def send(self, topic, value, partition, key=None):
        while True:
            try:
                self.producer.produce(topic, value, key=key, partition=partition, on_delivery=self.told)
                return
            except BufferError:
                self.producer.poll(0.1)

    def rest(self, seconds):
        self.producer.poll(seconds)
        if time.monotonic() > self.reopen_at:
            self.settle()
            self.open()

    def settle(self):
        """Returns when everything sent is acknowledged; a producer that reports errors only has no other way to say so."""
        if left := self.producer.flush(PATIENCE_S):
            self.refused += left
            broken(f"{left} records were not acknowledged within {PATIENCE_S} s")
