"""Requests that librdkafka's admin client for Python does not know, or cannot send, as raw bytes: Kafka's own tools know them, and take ten
seconds to start where compilers run beside. Each in its first flexible version (KIP-482)."""
import socket
import struct

API_VERSIONS, DESCRIBE_QUORUM, ALTER_PARTITION_REASSIGNMENTS, ELECT_LEADERS = (18, 3), (55, 0), (45, 0), (43, 2)
PREFERRED, ELECTION_NOT_NEEDED = 0, 84
PATIENCE_S = 10
TAGS = b"\x00"


class Refused(OSError):
    """An answer, and not the one that was asked for."""


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def compact(text):
    return varint(len(text) + 1) + text.encode()


def array(items):
    return varint(len(items) + 1) + b"".join(items)


class Answer:
    """Read from its beginning to its end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        (value,) = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def varint(self):
        shift = value = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self):
        length = self.varint() - 1
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def tags(self):
        for _ in range(self.varint()):
            self.varint()
            self.at += self.varint()


def ask(address, api, body):
    host, port = address.rsplit(":", 1)
    head = struct.pack(">hhih", *api, 1, 5) + b"chaos" + TAGS
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as sock:
            sock.sendall(struct.pack(">i", len(head + body)) + head + body)
            answer = Answer(exactly(sock, struct.unpack(">i", exactly(sock, 4))[0]))
        answer.take("i")
        answer.tags()
        return answer
    except struct.error as short:
        raise Refused(f"{address} answered too little: {short}") from short


def exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def answers(address):
    """Whether a broker there takes requests."""
    try:
        ask(address, API_VERSIONS, compact("chaos") + compact("1") + TAGS)
        return True
    except (OSError, struct.error):
        return False


def metadata_leader(addresses):
    """The node that the first one to answer says leads the metadata; nothing when none knows."""
    body = array([compact("__cluster_metadata") + array([struct.pack(">i", 0) + TAGS]) + TAGS]) + TAGS
    for address in addresses:
        try:
            answer = ask(address, DESCRIBE_QUORUM, body)
            if answer.take("h"):
                continue
            answer.varint(), answer.text(), answer.varint(), answer.take("i")
            error, leader = answer.take("h"), answer.take("i")
        except (OSError, struct.error):
            continue
        if not error and leader >= 0:
            return leader
    return None


def reassign(addresses, moves):
    """moves: replicas, the preferred leader first, by (topic, partition); None cancels. Asks one after the other until one answers; returns what
    was refused, in words. It does not wait for replicas to arrive."""
    topics = {}
    for (topic, partition), replicas in moves.items():
        places = b"\x00" if replicas is None else array([struct.pack(">i", replica) for replica in replicas])
        topics.setdefault(topic, []).append(struct.pack(">i", partition) + places + TAGS)
    body = struct.pack(">i", PATIENCE_S * 1000) + array([compact(topic) + array(of) + TAGS for topic, of in topics.items()]) + TAGS
    return changed(addresses, ALTER_PARTITION_REASSIGNMENTS, body, overall_text=True)


def elect_preferred(addresses):
    """Of all partitions. Returns what was refused, in words; that the preferred leader leads already is no refusal."""
    return changed(addresses, ELECT_LEADERS, struct.pack(">bBi", PREFERRED, 0, PATIENCE_S * 1000) + TAGS, overall_text=False)


def changed(addresses, api, body, overall_text):
    """Asks one after the other until one does not refuse the whole."""
    refusal = "nobody answers"
    for address in addresses:
        try:
            answer = ask(address, api, body)
            answer.take("i")
            error, why = answer.take("h"), answer.text() if overall_text else ""
            if not error:
                return list(refusals(answer))
            refusal = f"{address}: error {error} {why or ''}"
        except (OSError, struct.error) as trouble:
            refusal = f"{address}: {trouble}"
    return [refusal]


def refusals(answer):
    for _ in range(answer.varint() - 1):
        topic = answer.text()
        for _ in range(answer.varint() - 1):
            partition, error, why = answer.take("i"), answer.take("h"), answer.text()
            answer.tags()
            if error not in (0, ELECTION_NOT_NEEDED):
                yield f"{topic}-{partition}: error {error} {why or ''}"
        answer.tags()
