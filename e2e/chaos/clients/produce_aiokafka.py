"""produce_aiokafka.py BOOTSTRAP JOURNAL NAME TOPICS RATE: an idempotent producer of aiokafka's, another one every so often."""
import asyncio
import random
import sys
import time

from aiokafka import AIOKafkaProducer

from role import PENDING_LIMIT, REOPEN_S, REQUEST_S, Journal, Numbered, Pace, begin, leaving, partitions_of

BOOTSTRAP, JOURNAL, NAME, TOPICS = sys.argv[1:5]
RATE = float(sys.argv[5])
# It gives up a record after as long as it waits for an answer; and stopping waits for everything that is sent.
PATIENCE_S = 30


class Life:
    def __init__(self, number):
        self.records = Numbered(journal, f"{NAME}.{number}", partitions)
        self.until = time.monotonic() + random.uniform(*REOPEN_S)
        self.producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP.split(","), enable_idempotence=True, acks="all", linger_ms=5,
                                         request_timeout_ms=REQUEST_S * 1000, metadata_max_age_ms=5000)

    async def send(self):
        partition, sequence, value = self.records.new()
        topic, number = partitions[partition]
        try:
            future = await self.producer.send(topic, value, key=self.records.name.encode(), partition=number)
        except Exception as refusal:
            self.records.never_sent(partition, sequence, type(refusal).__name__)
            return

        def told(done):
            if done.cancelled():
                self.records.unknown(partition, sequence, "cancelled")
            elif why := done.exception():
                self.records.unknown(partition, sequence, type(why).__name__)
            else:
                self.records.acknowledged(partition, sequence, done.result().offset)
        future.add_done_callback(told)

    async def end(self):
        try:
            await asyncio.wait_for(self.producer.stop(), PATIENCE_S + REQUEST_S)
        except Exception as refusal:
            print(f"{self.records.name} was stopped: {refusal!r}", file=sys.stderr, flush=True)


async def opened(number):
    while not leaving.is_set():
        life = Life(number)
        try:
            await life.producer.start()
            return life
        except Exception as refusal:
            print(f"{life.records.name}: {refusal!r}", file=sys.stderr, flush=True)
            await life.end()
            await asyncio.sleep(1)
    return None


async def main():
    count, current = 0, await opened(0)
    while not leaving.is_set():
        if time.monotonic() > current.until:
            await current.end()
            count += 1
            current = await opened(count)
            continue
        left = pace.next - time.monotonic()
        if current.records.pending < PENDING_LIMIT and left <= 0:
            await current.send()
            pace.took()
        else:
            await asyncio.sleep(min(max(left, 0.01), 0.1))
        journal.flush()
    if current is not None:
        await current.end()
    journal.flush()


begin()
journal, partitions, pace = Journal(JOURNAL), partitions_of(TOPICS), Pace(RATE)
asyncio.run(main())
