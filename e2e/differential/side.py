"""One of the two brokers, and how the cases reach it. Whatever comes back is an answer: nothing here raises for a broker's doing."""
import time
import uuid

from protocol import CLOSED, SILENT, Connection, batch

ANSWER_S = 20
LED_S = 60


class Side:
    def __init__(self, protocol, address, mark, run):
        self.protocol, self.address, self.mark, self.run = protocol, address, mark, run
        self.ids = {}
        self.connection = Connection(address, ANSWER_S)

    def name(self, hint):
        return f"diff-{self.mark}-{self.run}-{hint}"

    def versions(self, api):
        message = self.protocol.messages[api + "Request"]
        low, _, high = message["validVersions"].partition("-")
        return range(int(low), int(high or low) + (0 if message.get("latestVersionUnstable") else 1))

    def ask(self, api, version, body, decode=None):
        return self.frame(self.protocol.request(api, version, body), api, version if decode is None else decode)

    def frame(self, frame, api, version):
        """Sends what may be no request at all; the answer is read as the api's version, and a broken connection is replaced."""
        self.connection.send(frame)
        return self.decoded(api, version)

    def decoded(self, api, version, patience_s=ANSWER_S):
        self.connection.socket.settimeout(patience_s)
        data = self.connection.receive()
        if data in (CLOSED, SILENT):
            self.reconnect()
            return data
        try:
            return self.protocol.answer(api, version, data)
        except (ValueError, IndexError) as error:
            return f"not {api} version {version}: {error}: {data[:40].hex()}"

    def reconnect(self):
        self.connection.socket.close()
        self.connection = Connection(self.address, ANSWER_S)

    def create(self, hint, partitions=1, **configs):
        """A topic that is led when this returns. The set-up must work on both, or there is nothing to compare."""
        name = self.name(hint)
        configs = [{"Name": k.replace("_", "."), "Value": str(v)} for k, v in configs.items()]
        body = {"Topics": [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": configs}], "timeoutMs": 30_000}
        told = self.ask("CreateTopics", 7, body)
        assert told["Topics"][0]["ErrorCode"] == 0, f"{self.address} does not create {name}: {told}"
        self.ids[hint] = uuid.UUID(told["Topics"][0]["TopicId"]).bytes
        deadline = time.monotonic() + LED_S
        for partition in range(partitions):
            while True:
                told = self.ask("ListOffsets", 5, {"ReplicaId": -1, "Topics": [
                    {"Name": name, "Partitions": [{"PartitionIndex": partition, "CurrentLeaderEpoch": -1, "Timestamp": -1}]}]})
                if told["Topics"][0]["Partitions"][0]["ErrorCode"] == 0:
                    break
                assert time.monotonic() < deadline, f"{self.address} does not lead {name}-{partition} within {LED_S} s: {told}"
                time.sleep(0.05)
        return name

    def first_producer_id(self):
        """Kafka's broker asks its controller for a block of ids first, and until it has one says COORDINATOR_LOAD_IN_PROGRESS."""
        deadline = time.monotonic() + LED_S
        while True:
            told = self.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60_000})
            if not isinstance(told, dict) or told["ErrorCode"] != 14 or time.monotonic() > deadline:
                return told
            time.sleep(0.05)

    def topic(self, hint, version, by_id_from, **fields):
        """How a request names a topic: by name, or from some version on by id. Unknown hints give an unknown topic."""
        if version >= by_id_from:
            return {"TopicId": self.ids.get(hint, b"unknown-topic-id"), **fields}
        return fields

    def produce(self, hint, records, version=9, acks=-1, partition=0):
        name = {} if version >= 13 else {"Name": self.name(hint)}
        topic = self.topic(hint, version, 13, **name, PartitionData=[{"Index": partition, "Records": records}])
        return self.ask("Produce", version, {"TransactionalId": None, "Acks": acks, "TimeoutMs": 30_000, "TopicData": [topic]})

    def filled(self, hint):
        """A topic with 20 records in 4 batches, the third compressed, timestamps rising by 100 from batch to batch."""
        self.create(hint, 2, retention_ms=-1)
        for i in range(4):
            told = self.produce(hint, batch([b"record %d" % n for n in range(5)], 1_000_000 + 100 * i, attributes=i == 2))
            assert told["Responses"][0]["PartitionResponses"][0]["BaseOffset"] == 5 * i, f"{self.address} does not store: {told}"
