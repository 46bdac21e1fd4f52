"""Kafka's requests and answers as bytes, from the JSON schemas inside a kafka-clients jar; frames; record batches.

    protocol = Protocol(jar)
    bytes = protocol.request("Metadata", 12, {"Topics": None})
    answer = protocol.answer("Metadata", 12, bytes)

Fields that are not given have their defaults; fields a version lacks are left out.
"""
import gzip
import json
import re
import socket
import struct
import uuid
import zipfile

INTS = {"bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}
CLIENT = "differential"


def within(versions, version):
    """Whether a version is in `3+`, `2-5`, `4` or `none`."""
    if versions in (None, "none"):
        return False
    low, _, high = versions.partition("-")
    if low.endswith("+"):
        return version >= int(low[:-1])
    return int(low) <= version <= int(high or low)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


class Protocol:
    def __init__(self, jar):
        self.messages, self.keys = {}, {}
        with zipfile.ZipFile(jar) as archive:
            for entry in archive.namelist():
                if re.fullmatch(r"common/message/\w+(Request|Response)\.json", entry):
                    text = re.sub(r"^\s*//.*$|(?<=[,\[{}\]])\s*//.*$", "", archive.read(entry).decode(), flags=re.M)
                    message = json.loads(text)
                    message.setdefault("fields", [])  # of an api that was removed
                    self.messages[message["name"]] = message
                    if message["type"] == "request":
                        self.keys[message["name"][:-len("Request")]] = message["apiKey"]
        for message in self.messages.values():
            message["structs"] = {s["name"]: s["fields"] for s in message.get("commonStructs", [])}
            self._collect(message["fields"], message["structs"])

    def _collect(self, fields, structs):
        for field in fields:
            if "fields" in field:
                structs[field["type"].removeprefix("[]")] = field["fields"]
                self._collect(field["fields"], structs)

    def flexible(self, api, version):
        return within(self.messages[api + "Request"]["flexibleVersions"], version)

    def request(self, api, version, body, correlation=7):
        return self.header(self.keys[api], version, correlation, self.flexible(api, version)) + self.encode(api + "Request", version, body)

    @staticmethod
    def header(key, version, correlation=7, flexible=False):
        head = struct.pack(">hhih", key, version, correlation, len(CLIENT)) + CLIENT.encode()
        return head + b"\0" if flexible else head

    def encode(self, name, version, body):
        message = self.messages[name]
        out = bytearray()
        self._struct(out, message, message["fields"], version, within(message["flexibleVersions"], version), body)
        return bytes(out)

    def _struct(self, out, message, fields, version, flexible, value):
        unknown = set(value) - {f["name"] for f in fields}
        assert not unknown, f"no such fields: {unknown}"
        tagged = []
        for field in fields:
            if not within(field["versions"], version):
                continue
            given = value.get(field["name"], default(field))
            if within(field.get("taggedVersions"), version):
                if field["name"] in value:
                    part = bytearray()
                    self._value(part, message, field, field["type"], version, flexible, given)
                    tagged.append((field["tag"], bytes(part)))
            else:
                self._value(out, message, field, field["type"], version, flexible, given)
        if flexible:
            out += varint(len(tagged))
            for tag, part in sorted(tagged):
                out += varint(tag) + varint(len(part)) + part

    def _value(self, out, message, field, kind, version, flexible, value):
        if kind.startswith("[]"):
            out += length(None if value is None else len(value), flexible, ">i")
            for item in value or []:
                self._value(out, message, field, kind[2:], version, flexible, item)
        elif kind in INTS:
            out += struct.pack(INTS[kind], value)
        elif kind == "uuid":
            out += value
        elif kind == "string":
            data = None if value is None else value.encode()
            out += length(None if data is None else len(data), flexible, ">h") + (data or b"")
        elif kind in ("bytes", "records"):
            out += length(None if value is None else len(value), flexible, ">i") + (value or b"")
        else:
            if within(field.get("nullableVersions"), version) and not field["type"].startswith("[]"):
                out += b"\xff" if value is None else b"\x01"
            if value is not None:
                self._struct(out, message, message["structs"][kind], version, flexible, value)

    def answer(self, api, version, data):
        """The answer's fields, in the order of the schema; trailing bytes are an error."""
        message = self.messages[api + "Response"]
        reader = Reader(data)
        correlation = reader.number(">i")
        flexible = within(message["flexibleVersions"], version)
        if flexible and api != "ApiVersions":  # which always has the header of version 0
            reader.varint()
        fields = self._read(reader, message, message["fields"], version, flexible)
        if reader.at != len(data):
            raise ValueError(f"{len(data) - reader.at} bytes after the end of {api} version {version}")
        return {"CorrelationId": correlation, **fields}

    def _read(self, reader, message, fields, version, flexible):
        value = {}
        for field in fields:
            if within(field["versions"], version) and not within(field.get("taggedVersions"), version):
                value[field["name"]] = self._read_value(reader, message, field, field["type"], version, flexible)
        if flexible:
            for _ in range(reader.varint()):
                tag, size = reader.varint(), reader.varint()
                part = Reader(reader.take(size))
                known = [f for f in fields if f.get("tag") == tag and within(f.get("taggedVersions"), version)]
                if known:
                    value[known[0]["name"]] = self._read_value(part, message, known[0], known[0]["type"], version, flexible)
                    if part.at != size:
                        raise ValueError(f"{size - part.at} bytes after the end of tag {tag}")
                else:
                    value[f"tag {tag}"] = part.data.hex()
        return value

    def _read_value(self, reader, message, field, kind, version, flexible):
        if kind.startswith("[]"):
            count = reader.varint() - 1 if flexible else reader.number(">i")
            if count < 0:
                return None
            return [self._read_value(reader, message, field, kind[2:], version, flexible) for _ in range(count)]
        if kind in INTS:
            return reader.number(INTS[kind])
        if kind == "uuid":
            return str(uuid.UUID(bytes=bytes(reader.take(16))))
        if kind in ("string", "bytes", "records"):
            size = reader.varint() - 1 if flexible else reader.number(">h" if kind == "string" else ">i")
            data = None if size < 0 else bytes(reader.take(size))
            return data if data is None or kind != "string" else data.decode()
        if within(field.get("nullableVersions"), version) and not field["type"].startswith("[]") and reader.number(">b") < 0:
            return None
        return self._read(reader, message, message["structs"][kind], version, flexible)


def length(count, flexible, form):
    if flexible:
        return varint(0 if count is None else count + 1)
    return struct.pack(form, -1 if count is None else count)


def default(field):
    kind, given = field["type"], field.get("default")
    if given == "null":
        return None
    if kind.startswith("[]"):
        return []
    if kind == "bool":
        return given == "true" or given is True
    if kind in INTS:
        return float(given or 0) if kind == "float64" else int(str(given or 0), 0)
    return {"string": given or "", "uuid": bytes(16), "bytes": b"", "records": None}.get(kind, {})


# --- frames --------------------------------------------------------------------------------------------------------

CLOSED, SILENT = "the connection is closed", "no answer"


class Connection:
    def __init__(self, address, timeout_s):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, frame):
        self.raw(struct.pack(">i", len(frame)) + frame)

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # closed by the other side: receive tells

    def receive(self):
        """The next frame's content, or CLOSED, or SILENT when nothing comes in time."""
        try:
            size = self._exactly(4)
            return self._exactly(struct.unpack(">i", size)[0])
        except TimeoutError:
            return SILENT
        except OSError:
            return CLOSED

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise OSError("closed")
            data += part
        return bytes(data)


# --- records -------------------------------------------------------------------------------------------------------

def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def zigzag(value):
    return varint(value << 1 ^ value >> 63)


def batch(values, timestamp=1_600_000_000_000, producer=-1, epoch=-1, sequence=-1, attributes=0, magic=2, crc=None, count=None, payload=None,
          deltas=None, latest=None, stray=b""):
    """A record batch of format 2. What is given replaces what would be right: `deltas` the offsets', `latest` the largest timestamp;
    `stray` follows the records."""
    records = b""
    for i, value in enumerate(values):
        body = b"\0" + zigzag(0) + zigzag(deltas[i] if deltas else i) + zigzag(-1) + zigzag(len(value)) + value + zigzag(0)
        records += zigzag(len(body)) + body
    records += stray
    if attributes & 7 == 1:
        records = gzip.compress(records, mtime=0)
    if payload is not None:
        records = payload
    count = len(values) if count is None else count
    rest = struct.pack(">hiqqqhii", attributes, len(values) - 1, timestamp, timestamp if latest is None else latest, producer, epoch, sequence, count) + records
    crc = crc32c(rest) if crc is None else crc
    return struct.pack(">qiibI", 0, len(rest) + 9, -1, magic, crc) + rest
