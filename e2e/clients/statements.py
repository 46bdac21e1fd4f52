"""What is stated of Kafka, one line each: `ok <statement>` or `FAIL <statement>: why`."""
import random
import sys
import time

PATIENCE_S = 60
COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"]
_run = format(time.time_ns(), "x")
_held = _failed = _names = 0


def states(statement):
    """Decorates a body that holds if it returns."""
    def judge(body):
        global _held, _failed
        try:
            body()
            _held += 1
            print(f"ok {statement}", flush=True)
        except Exception as why:  # whatever it is, it is why the statement fails
            _failed += 1
            kind = "" if isinstance(why, AssertionError) else f"{type(why).__name__}: "
            print(f"FAIL {statement}: {kind}{str(why).replace(chr(10), ' ')}", flush=True)
        return body
    return judge


def expect(what, expected, actual):
    if expected != actual:
        raise AssertionError(f"{what}: expected {shown(expected)}, got {shown(actual)}")


def shown(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "..."


def eventually(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.05)


def name(client, hint):
    """A topic no run used before."""
    global _names
    _names += 1
    return f"{client}-{_run}-{hint}-{_names}"


def noise(length):
    """Bytes no compressor makes smaller, the same in every run."""
    return random.Random(42).randbytes(length)


def end():
    print(f"{_held} statements hold, {_failed} do not")
    sys.exit(1 if _failed else 0)
