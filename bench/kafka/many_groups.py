"""many_groups.py HOST:PORT TOPIC PROTOCOL GROUPS CONNECTIONS WARM_SECONDS SECONDS PID - groups of one member each, which only send heartbeats.

PROTOCOL is classic (JoinGroup, SyncGroup, Heartbeat every 3 seconds) or consumer (ConsumerGroupHeartbeat, every so often as the broker says):
the defaults of Kafka's consumer. The members share CONNECTIONS, so that it is groups that are measured and not sockets. Prints
`MEASURE VALUE`, a line each; PID is the broker's. It ends by itself, with exit code 1 when a member was refused."""
import asyncio
import heapq
import os
import struct
import sys
import time

CLASSIC_HEARTBEAT_S = 3.0
SESSION_MS, REBALANCE_MS = 45_000, 300_000
# Joining all at once would measure a queue.
JOINING_AT_ONCE = 200
# As many as it takes to have one in most partitions of __consumer_offsets.
SOME_GROUPS = 100
PATIENCE_S = 300
# The coordinator is not there yet: it loads, or its topic is only now being made.
LATER = (14, 15, 16)


def text(value):
    return struct.pack(">h", len(value)) + value


def data(value):
    return struct.pack(">i", len(value)) + value


def compact(value):
    return bytes([len(value) + 1]) + value  # of less than 127 bytes


class Connection:
    """Requests without flexible headers, or with; answers come in the order of the requests."""

    async def open(self, address):
        host, port = address.rsplit(":", 1)
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        self._waiting, self._next = {}, 0
        self._task = asyncio.create_task(self._read())

    async def _read(self):
        try:
            while True:
                (size,) = struct.unpack(">i", await self._reader.readexactly(4))
                answer = await self._reader.readexactly(size)
                self._waiting.pop(struct.unpack_from(">i", answer)[0]).set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            for future in self._waiting.values():
                future.set_exception(ConnectionError("the broker closed the connection"))

    def ask(self, key, version, body, is_flexible=False):
        self._next += 1
        frame = struct.pack(">hhih", key, version, self._next, -1) + (b"\0" if is_flexible else b"") + body
        self._writer.write(struct.pack(">i", len(frame)) + frame)
        future = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = future
        return future

    def close(self):
        self._task.cancel()
        self._writer.close()


class Classic:
    def __init__(self, connection, group, topic):
        self._connection, self._group = connection, text(group)
        # A subscription of version 0: the topics, no user data.
        self._metadata = struct.pack(">hi", 0, 1) + text(topic) + struct.pack(">i", -1)
        self._assignment = struct.pack(">hi", 0, 1) + text(topic) + struct.pack(">iii", 1, 0, -1)

    async def join(self):
        body = self._group + struct.pack(">ii", SESSION_MS, REBALANCE_MS) + text(b"") + text(b"consumer") \
            + struct.pack(">i", 1) + text(b"range") + data(self._metadata)
        answer = await self._connection.ask(11, 3, body)
        error, generation, length = struct.unpack_from(">hih", answer, 8)
        if error:
            return error
        at = 16 + length  # the protocol's name is over
        (leader,) = struct.unpack_from(">h", answer, at)
        at += 2 + leader
        (member,) = struct.unpack_from(">h", answer, at)
        self._id = text(answer[at + 2:at + 2 + member])
        share = struct.pack(">i", 1) + self._id + data(self._assignment)
        answer = await self._connection.ask(14, 1, self._group + struct.pack(">i", generation) + self._id + share)
        (error,) = struct.unpack_from(">h", answer, 8)
        self._heartbeat = self._group + struct.pack(">i", generation) + self._id
        return error

    async def heartbeat(self):
        answer = await self._connection.ask(12, 1, self._heartbeat)
        return struct.unpack_from(">h", answer, 8)[0], CLASSIC_HEARTBEAT_S


class Newer:
    def __init__(self, connection, group, topic):
        self._connection, self._topic, self._owned = connection, topic, None
        self._who = compact(group) + compact(os.urandom(11).hex().encode())
        self._epoch = 0

    async def _ask(self, rebalance_ms, topics, owned):
        body = self._who + struct.pack(">i", self._epoch) + b"\0\0" + struct.pack(">i", rebalance_ms) + topics + b"\0\0" + owned + b"\0"
        answer = await self._connection.ask(68, 1, body, is_flexible=True)
        (error,) = struct.unpack_from(">h", answer, 9)
        if error:
            return error, 0.0
        at = 11
        for _ in range(2):  # the error's message, the member's id
            at += max(answer[at], 1)
        self._epoch, interval_ms = struct.unpack_from(">ii", answer, at)
        at += 8
        if answer[at] != 255:
            # An assignment; of one topic, one partition at most it is given back as it is.
            self._owned = answer[at + 1:-2]
        return 0, interval_ms / 1000

    async def join(self):
        error, self._interval_s = await self._ask(REBALANCE_MS, b"\2" + compact(self._topic), b"\1")
        return error

    async def heartbeat(self):
        owned, self._owned = self._owned, None
        return await self._ask(-1, b"\0", owned or b"\0")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


async def beat(members, until, tookMs, errors):
    """Each member's next heartbeat is one interval after its last, as clients do."""
    now, step = time.monotonic(), CLASSIC_HEARTBEAT_S / len(members)
    due = [(now + i * step, i) for i in range(len(members))]
    under_way = set()

    async def one(i):
        began = time.monotonic()
        error, interval_s = await members[i].heartbeat()
        tookMs.append((time.monotonic() - began) * 1000)
        if error:
            errors.append(error)
        else:
            heapq.heappush(due, (began + interval_s, i))
    while (now := time.monotonic()) < until:
        while due and due[0][0] <= now:
            task = asyncio.create_task(one(heapq.heappop(due)[1]))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.sleep(0.005)
    if under_way:
        await asyncio.wait(under_way, timeout=PATIENCE_S)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


async def main():
    address, topic, protocol, pid = sys.argv[1], sys.argv[2].encode(), sys.argv[3], int(sys.argv[8])
    groups, connections, warm_s, measured_s = (int(value) for value in sys.argv[4:8])
    kind = {"classic": Classic, "consumer": Newer}[protocol]
    opened = [Connection() for _ in range(connections)]
    for connection in opened:
        await connection.open(address)
    members = [kind(opened[i % connections], f"{protocol}-{i}".encode(), topic) for i in range(groups)]
    # The topic of the groups is there, and all its partitions are led, before anything is measured.
    for i in range(SOME_GROUPS):
        while struct.unpack_from(">h", await opened[0].ask(10, 2, text(f"first-{i}".encode()) + b"\0"), 8)[0] in LATER:
            await asyncio.sleep(0.2)
    for i in range(SOME_GROUPS):
        first = kind(opened[0], f"first-{i}".encode(), topic)
        while await first.join() in LATER:
            await asyncio.sleep(0.2)
    print("rss-before", f"{rss_mib(pid):.1f}")
    began, cpu = time.monotonic(), cpu_s(pid)
    room, errors = asyncio.Semaphore(JOINING_AT_ONCE), []

    async def join(member):
        async with room:
            while (error := await member.join()) in LATER:
                await asyncio.sleep(0.2)
            if error:
                errors.append(error)
    await asyncio.wait_for(asyncio.gather(*(join(member) for member in members)), PATIENCE_S)
    print("join-s", f"{time.monotonic() - began:.2f}")
    print("join-cpu-s", f"{cpu_s(pid) - cpu:.2f}", flush=True)
    await beat(members, time.monotonic() + warm_s, [], errors)
    took_ms, own, began, cpu = [], time.process_time(), time.monotonic(), cpu_s(pid)
    await beat(members, time.monotonic() + measured_s, took_ms, errors)
    spent_s = time.monotonic() - began
    print("cpu-cores", f"{(cpu_s(pid) - cpu) / spent_s:.3f}")
    print("client-cores", f"{(time.process_time() - own) / spent_s:.3f}")
    print("heartbeats", f"{len(took_ms) / spent_s:.0f}")
    print("p50", f"{percentile(took_ms, 0.5):.2f}")
    print("p99", f"{percentile(took_ms, 0.99):.2f}")
    print("rss-after", f"{rss_mib(pid):.1f}")
    print("refused", len(errors), *sorted(set(errors)))
    for connection in opened:
        connection.close()
    return 1 if errors else 0


sys.exit(asyncio.run(main()))
