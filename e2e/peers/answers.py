"""answers.py HOST:PORT - exits 0 when a broker there answers ApiVersions and lists a broker in Metadata."""
import socket
import struct
import sys


def ask(sock, key, body):
    frame = struct.pack(">hhih", key, 0, 1, -1) + body
    sock.sendall(struct.pack(">i", len(frame)) + frame)
    head = read(sock, 4)
    return read(sock, struct.unpack(">i", head)[0])


def read(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=2) as sock:
            versions = ask(sock, 18, b"")
            brokers = ask(sock, 3, struct.pack(">i", 0))  # version 0: none named is all of them
    except OSError:
        return 1
    # correlation id, then an error code of 0; correlation id, then a count of brokers.
    return 0 if versions[4:6] == b"\0\0" and struct.unpack(">i", brokers[4:8])[0] > 0 else 1


sys.exit(main())
