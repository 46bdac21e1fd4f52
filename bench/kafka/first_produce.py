"""first_produce.py HOST:PORT SECONDS PID - returns as soon as a broker there, which may not listen yet, has acknowledged a record;
with exit code 1 when the time is over or the process is.

The topic `first` is created by asking for it, as clients do."""
import socket
import struct
import sys
import time

TOPIC = b"first"
PAUSE_SECONDS = 0.005


def text(value):
    return struct.pack(">h", len(value)) + value


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def batch():
    # One record without key and headers: attributes, two deltas of 0, a key of -1, a value of one byte, no headers.
    record = bytes([0, 0, 0, 1, 2]) + b"x" + bytes([0])
    record = bytes([len(record) * 2]) + record
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + record
    rest = struct.pack(">ibI", 0, 2, crc32c(body)) + body
    return struct.pack(">qi", 0, len(rest)) + rest


def ask(sock, key, version, body):
    frame = struct.pack(">hhih", key, version, 1, -1) + body
    sock.sendall(struct.pack(">i", len(frame)) + frame)
    size = struct.unpack(">i", read(sock, 4))[0]
    return read(sock, size)[4:]


def read(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def produce(sock):
    """The error code of the answer."""
    records = batch()
    partition = struct.pack(">ii", 0, len(records)) + records
    body = struct.pack(">hhi", -1, -1, 30000) + struct.pack(">i", 1) + text(TOPIC) + struct.pack(">i", 1) + partition
    answer = ask(sock, 0, 3, body)
    # A count of topics, the name, a count of partitions, an index.
    return struct.unpack(">h", answer[4 + 2 + len(TOPIC) + 4 + 4 :][:2])[0]


def attempt(address):
    with socket.create_connection(address, timeout=30) as sock:
        while True:
            ask(sock, 3, 4, struct.pack(">i", 1) + text(TOPIC) + b"\1")
            if produce(sock) == 0:
                return
            time.sleep(PAUSE_SECONDS)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    deadline = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < deadline and is_running(sys.argv[3]):
        try:
            attempt((host, int(port)))
            return 0
        except OSError:
            time.sleep(PAUSE_SECONDS)
    return 1


sys.exit(main())
