import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;

/** Offsets asked for by place and by time, and the deletion of records. */
final class Offsets {
    private Offsets() {}

    static void run(Peer peer) {
        Statements.states("beginning and end of an empty and of a filled partition", () -> {
            String topic = peer.topic("ends", 2);
            peer.send(Peer.numbered(topic, 7));
            TopicPartition filled = new TopicPartition(topic, 0);
            TopicPartition empty = new TopicPartition(topic, 1);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer()) {
                Statements.expect("beginning", Map.of(filled, 0L, empty, 0L), consumer.beginningOffsets(List.of(filled, empty)));
                Statements.expect("end", Map.of(filled, 7L, empty, 0L), consumer.endOffsets(List.of(filled, empty)));
            }
        });
        for (String compression : List.of("none", "lz4")) {
            Statements.states("offsets for times, " + compression + ": the first record at or after the time, or none", () -> {
                String topic = peer.keptTopic("times", 1);
                List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
                for (int i = 0; i < 30; i++) {
                    records.add(new ProducerRecord<>(topic, 0, 10_000L + 100 * i, null, Peer.bytes("v" + i)));
                }
                peer.send(records.subList(0, 20), "linger.ms", 100, "compression.type", compression);
                peer.send(records.subList(20, 30), "linger.ms", 100, "compression.type", compression);
                try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer()) {
                    TopicPartition partition = new TopicPartition(topic, 0);
                    long[][] cases = {{0, 0}, {10_000, 0}, {10_001, 1}, {10_700, 7}, {11_950, 20}, {12_850, 29}, {12_900, 29}};
                    for (long[] c : cases) {
                        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, c[0])).get(partition);
                        Statements.expect("offset for " + c[0], c[1], found.offset());
                        Statements.expect("timestamp for " + c[0], 10_000 + 100 * c[1], found.timestamp());
                    }
                    Statements.expect("after the last", null, consumer.offsetsForTimes(Map.of(partition, 12_901L)).get(partition));
                }
            });
            Statements.states("the offset of the greatest timestamp, " + compression + ", and none when empty", () -> {
                String topic = peer.keptTopic("max", 2);
                long[] timestamps = {5_000, 9_000, 7_000, 9_000, 8_000};
                List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
                for (long timestamp : timestamps) {
                    records.add(new ProducerRecord<>(topic, 0, timestamp, null, Peer.bytes("v")));
                }
                peer.send(records, "linger.ms", 100, "compression.type", compression);
                peer.send(new ProducerRecord<>(topic, 0, 6_000L, null, Peer.bytes("v")), "compression.type", compression);
                ListOffsetsResultInfo found = list(peer, topic, 0, OffsetSpec.maxTimestamp());
                Statements.expect("offset", 1L, found.offset());
                Statements.expect("timestamp", 9_000L, found.timestamp());
                Statements.expect("offset when empty", -1L, list(peer, topic, 1, OffsetSpec.maxTimestamp()).offset());
            });
        }
        Statements.states("the admin's list of offsets: earliest, latest, by time, earliest local, latest tiered", () -> {
            String topic = peer.keptTopic("list", 1);
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < 10; i++) {
                records.add(new ProducerRecord<>(topic, 0, 1_000L + i, null, Peer.bytes("v")));
            }
            peer.send(records);
            Statements.expect("earliest", 0L, list(peer, topic, 0, OffsetSpec.earliest()).offset());
            Statements.expect("latest", 10L, list(peer, topic, 0, OffsetSpec.latest()).offset());
            Statements.expect("by time", 4L, list(peer, topic, 0, OffsetSpec.forTimestamp(1_004)).offset());
            Statements.expect("by a time after all", -1L, list(peer, topic, 0, OffsetSpec.forTimestamp(2_000)).offset());
            Statements.expect("earliest local", 0L, list(peer, topic, 0, OffsetSpec.earliestLocal()).offset());
            Statements.expect("latest tiered", -1L, list(peer, topic, 0, OffsetSpec.latestTiered()).offset());
            Statements.expect("leader epoch", 0, list(peer, topic, 0, OffsetSpec.latest()).leaderEpoch().orElse(-1));
        });
        deletion(peer);
    }

    private static ListOffsetsResultInfo list(Peer peer, String topic, int partition, OffsetSpec spec) throws Exception {
        TopicPartition of = new TopicPartition(topic, partition);
        ListOffsetsResultInfo found = Peer.get(peer.admin.listOffsets(Map.of(of, spec)).partitionResult(of));
        ListOffsetsOptions committed = new ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
        Statements.expect("read_committed agrees", found.offset(),
            Peer.get(peer.admin.listOffsets(Map.of(of, spec), committed).partitionResult(of)).offset());
        return found;
    }

    private static void deletion(Peer peer) {
        Statements.states("deleted records are gone: the beginning, readers and times follow", () -> {
            String topic = peer.keptTopic("delete", 1);
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                records.add(new ProducerRecord<>(topic, 0, 1_000L + i, null, Peer.bytes("v" + i)));
            }
            peer.send(records, "linger.ms", 100);
            Statements.expect("low watermark", 6L, delete(peer, topic, 6));
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "earliest")) {
                Statements.expect("beginning", 6L, consumer.beginningOffsets(List.of(partition)).get(partition));
                consumer.assign(List.of(partition));
                consumer.seek(partition, 0);
                Statements.expect("first that is left", 6L, Peer.poll(consumer, 1).get(0).offset());
                Statements.expect("for an early time", 6L, consumer.offsetsForTimes(Map.of(partition, 0L)).get(partition).offset());
            }
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 5);
                Statements.refused(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> Peer.poll(consumer, 1));
            }
            Statements.expect("deleting less changes nothing", 6L, delete(peer, topic, 3));
            Statements.expect("-1 deletes all", 20L, delete(peer, topic, -1));
            Statements.expect("offset of the next", 20L, peer.send(new ProducerRecord<>(topic, Peer.bytes("next"))).offset());
        });
        Statements.states("deleting beyond the end is refused: OffsetOutOfRangeException", () -> {
            String topic = peer.keptTopic("delete", 1);
            peer.send(Peer.numbered(topic, 5));
            Statements.refused(OffsetOutOfRangeException.class, () -> delete(peer, topic, 6));
        });
    }

    private static long delete(Peer peer, String topic, long before) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return Peer.get(peer.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(before))).lowWatermarks().get(partition)).lowWatermark();
    }
}
