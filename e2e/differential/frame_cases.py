"""What is no good request: cut, lying, of another protocol. The answer of interest is whether the connection lives."""
import struct

CLIENT_INFO = {"ClientSoftwareName": "differential", "ClientSoftwareVersion": "1"}
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(194)


def frames(side):
    protocol = side.protocol
    metadata = protocol.request("Metadata", 12, {"Topics": [{"Name": "x" * 20}], "AllowAutoTopicCreation": False})
    old = protocol.request("Metadata", 1, {"Topics": []})
    head12, head1 = protocol.header(3, 12, flexible=True), protocol.header(3, 1)
    framed = (("an unknown api key", protocol.header(9_999, 0)), ("a negative api key", protocol.header(-1, 0)),
              ("a version that is not there yet", protocol.header(3, 99, flexible=True) + b"\0\0\0\0\0"),
              ("a negative version", protocol.header(3, -1)), ("a version that was removed", protocol.header(0, 0) + bytes(20)),
              ("a body cut short", metadata[:-6]), ("no body", head12), ("a head cut short", metadata[:6]), ("one byte", b"\0"),
              ("a client id longer than the frame", struct.pack(">hhih", 3, 1, 7, 9_999) + b"x"),
              ("an array of -5", head1 + struct.pack(">i", -5)), ("an array of i32::MAX", head1 + struct.pack(">i", 2**31 - 1)),
              ("the five bytes ff ff ff ff 0f", head12 + b"\xff\xff\xff\xff\x0f"), ("a varint without an end", head12 + b"\xff" * 10),
              ("a string of -5", head1 + struct.pack(">ih", 1, -5)), ("a string longer than the frame", head1 + struct.pack(">ih", 1, 30_000) + b"abc"),
              ("bytes after the body, old encoding", old + b"trailing"), ("bytes after the body, compact encoding", metadata + b"trailing"))
    for name, frame in framed:
        version = 12 if frame.startswith(head12) else 1
        answer = side.frame(frame, "Metadata", version)
        if isinstance(answer, dict):
            answer["Topics"] = len(answer["Topics"])
        yield f"frame: {name}", answer, None
    produce = protocol.request("Produce", 9, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 1_000, "TopicData": [
        {"Name": "x", "PartitionData": [{"Index": 0, "Records": b"y" * 40}]}]})
    yield "frame: Produce whose records are longer than the frame", side.frame(produce[:-20], "Produce", 9), None
    for name, data in (("length 0", struct.pack(">i", 0)), ("length -1", struct.pack(">i", -1)), ("length of 2 GB", struct.pack(">i", 2**31 - 1)),
                       ("length of 100 MiB and 1", struct.pack(">i", 100 * 2**20 + 1)), ("a TLS hello", TLS_HELLO), ("an HTTP GET", b"GET / HTTP/1.1\r\n\r\n")):
        side.connection.raw(data)
        yield f"frame: {name}", side.decoded("Metadata", 1), None
    tagged = protocol.header(18, 3) + b"\x01\x63\x02ab" + protocol.encode("ApiVersionsRequest", 3, CLIENT_INFO)
    yield "header: an unknown tagged field is passed over", alive(side.frame(tagged, "ApiVersions", 3)), []
    body = protocol.encode("MetadataRequest", 12, {"Topics": []})[:-1] + b"\x01\x63\x02ab"
    yield "body: an unknown tagged field is passed over", side.frame(head12 + body, "Metadata", 12), None
    nameless = struct.pack(">hhih", 18, 0, 7, -1)
    yield "header: no client id", alive(side.frame(nameless, "ApiVersions", 0)), []
    for n in range(1, 4):
        side.connection.send(protocol.request("Metadata", 1, {"Topics": []}, correlation=n))
    for n in range(1, 4):
        yield f"pipelined: answer {n}", side.decoded("Metadata", 1), None
    yield "after all of it the broker serves", alive(side.ask("ApiVersions", 0, {})), []


def alive(answer):
    """The list of apis is compared elsewhere."""
    return {"ErrorCode": answer["ErrorCode"]} if isinstance(answer, dict) else answer
