import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** What a consumer may rely on that assigns its partitions itself. Groups are another file's matter. */
final class Consuming {
    private Consuming() {}

    static void run(Peer peer) {
        positions(peer);
        waiting(peer);
        limits(peer);
        assignments(peer);
        metadata(peer);
    }

    private static void positions(Peer peer) {
        Statements.states("seek: reading goes on at exactly that offset, within a batch too", () -> {
            String topic = peer.topic("seek", 1);
            peer.send(Peer.numbered(topic, 100), "linger.ms", 100, "compression.type", "gzip");
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer()) {
                consumer.assign(List.of(partition));
                for (long offset : new long[] {57, 3, 99, 0}) {
                    consumer.seek(partition, offset);
                    ConsumerRecord<byte[], byte[]> first = Peer.poll(consumer, 1).get(0);
                    Statements.expect("offset", offset, first.offset());
                    Statements.expect("value", "v" + offset, Peer.text(first.value()));
                }
                consumer.seekToEnd(List.of(partition));
                Statements.expect("position at the end", 100L, consumer.position(partition));
                consumer.seekToBeginning(List.of(partition));
                Statements.expect("position at the beginning", 0L, consumer.position(partition));
                Peer.poll(consumer, 100);
                Statements.expect("position after all", 100L, consumer.position(partition));
            }
        });
        Statements.states("out of range with auto.offset.reset=none: OffsetOutOfRangeException", () -> {
            String topic = peer.topic("none", 1);
            peer.send(Peer.numbered(topic, 10));
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 11);
                OffsetOutOfRangeException refusal =
                    (OffsetOutOfRangeException) Statements.refused(OffsetOutOfRangeException.class, () -> Peer.poll(consumer, 1));
                Statements.expect("the named offset", 11L, refusal.offsetOutOfRangePartitions().get(partition));
            }
        });
        Statements.states("the offset just past the end is in range, and waits", () -> {
            String topic = peer.topic("end", 1);
            peer.send(Peer.numbered(topic, 10));
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 10);
                Statements.expect("records", true, consumer.poll(Duration.ofSeconds(2)).isEmpty());
                peer.send(new ProducerRecord<>(topic, Peer.bytes("next")));
                Statements.expect("value", "next", Peer.text(Peer.poll(consumer, 1).get(0).value()));
            }
        });
        Statements.states("out of range with auto.offset.reset=earliest or latest: the position becomes the beginning or the end", () -> {
            String topic = peer.topic("reset", 1);
            peer.send(Peer.numbered(topic, 10));
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "earliest")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 1_000_000);
                Statements.expect("first offset", 0L, Peer.poll(consumer, 1).get(0).offset());
            }
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "latest")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 1_000_000);
                awaitPosition(consumer, partition, 10);
            }
        });
        Statements.states("no position and auto.offset.reset=none: NoOffsetForPartitionException", () -> {
            String topic = peer.topic("nowhere", 1);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                Statements.refused(NoOffsetForPartitionException.class, () -> Peer.poll(consumer, 1));
            }
        });
        Statements.states("read_committed on plain records: the same records, and the same end", () -> {
            String topic = peer.topic("committed", 1);
            peer.send(Peer.numbered(topic, 50));
            Statements.expect("last", 49L, peer.read(topic, 1, 50, "isolation.level", "read_committed").get(49).offset());
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("isolation.level", "read_committed")) {
                Statements.expect("end", 50L, consumer.endOffsets(List.of(partition)).get(partition));
            }
        });
        Statements.states("a record carries the leader epoch it was written in", () -> {
            String topic = peer.topic("epoch", 1);
            peer.send(Peer.numbered(topic, 1));
            Statements.expect("epoch", 0, peer.read(topic, 1, 1).get(0).leaderEpoch().orElse(-1));
        });
    }

    private static void awaitPosition(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long expected) throws Exception {
        Peer.eventually("the position is " + expected, () -> {
            consumer.poll(Duration.ofMillis(100));
            return consumer.position(partition) == expected;
        });
    }

    private static void waiting(Peer peer) {
        Statements.states("long polling: a record produced while a consumer waits arrives well before fetch.max.wait.ms", () -> {
            String topic = peer.topic("long-poll", 1);
            TopicPartition partition = new TopicPartition(topic, 0);
            KafkaConsumer<byte[], byte[]> consumer = peer.consumer("fetch.max.wait.ms", 20_000);
            try (KafkaProducer<byte[], byte[]> producer = peer.producer()) {
                producer.partitionsFor(topic);
                consumer.assign(List.of(partition));
                Statements.expect("nothing yet", true, consumer.poll(Duration.ofSeconds(2)).isEmpty());
                for (int i = 0; i < 5; i++) {
                    Peer.get(producer.send(new ProducerRecord<>(topic, Peer.bytes("v" + i))));
                    long start = System.nanoTime();
                    Peer.poll(consumer, 1);
                    long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
                    Statements.expect("it took " + tookMs + " ms", tookMs < 5_000);
                }
            } finally {
                Peer.leave(consumer);
            }
        });
        Statements.states("fetch.min.bytes: a smaller answer is held back until fetch.max.wait.ms, and then given", () -> {
            String topic = peer.topic("min-bytes", 1);
            peer.send(Peer.numbered(topic, 3));
            long start = System.nanoTime();
            List<ConsumerRecord<byte[], byte[]>> got = peer.read(topic, 1, 3, "fetch.min.bytes", 1_000_000, "fetch.max.wait.ms", 3_000);
            long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            Statements.expect("records", 3, got.size());
            Statements.expect("it took only " + tookMs + " ms", tookMs >= 2_900);
        });
        Statements.states("fetch.min.bytes: what reaches it is given at once", () -> {
            String topic = peer.topic("min-bytes", 1);
            peer.send(new ProducerRecord<>(topic, Peer.noise(300_000)));
            long start = System.nanoTime();
            peer.read(topic, 1, 1, "fetch.min.bytes", 200_000, "fetch.max.wait.ms", 25_000);
            long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            Statements.expect("it took " + tookMs + " ms", tookMs < 15_000);
        });
        Statements.states("fetch.min.bytes: a waiting consumer is answered when produced records reach it together", () -> {
            String topic = peer.topic("min-bytes", 1);
            TopicPartition partition = new TopicPartition(topic, 0);
            KafkaConsumer<byte[], byte[]> consumer = peer.consumer("fetch.min.bytes", 250_000, "fetch.max.wait.ms", 25_000);
            try {
                consumer.assign(List.of(partition));
                consumer.poll(Duration.ofSeconds(2));
                long start = System.nanoTime();
                for (int i = 0; i < 3; i++) {
                    peer.send(new ProducerRecord<>(topic, Peer.noise(100_000)));
                }
                Peer.poll(consumer, 3);
                long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
                Statements.expect("it took " + tookMs + " ms", tookMs < 15_000);
            } finally {
                Peer.leave(consumer);
            }
        });
    }

    private static void limits(Peer peer) {
        Statements.states("a batch larger than every fetch limit is delivered all the same", () -> {
            String topic = peer.topic("tight", 3);
            for (int p = 0; p < 3; p++) {
                peer.send(new ProducerRecord<>(topic, p, null, Peer.noise(50_000)));
            }
            Set<Integer> seen = new HashSet<>();
            peer.read(topic, 3, 3, "max.partition.fetch.bytes", 1, "fetch.max.bytes", 1).forEach(r -> seen.add(r.partition()));
            Statements.expect("partitions", Set.of(0, 1, 2), seen);
        });
        Statements.states("a small max.partition.fetch.bytes slows, but loses and reorders nothing", () -> {
            String topic = peer.topic("small", 1);
            peer.send(Peer.numbered(topic, 1_000), "batch.size", 100);
            List<ConsumerRecord<byte[], byte[]>> got = peer.read(topic, 1, 1_000, "max.partition.fetch.bytes", 2_000);
            for (int i = 0; i < 1_000; i++) {
                Statements.expect("offset", (long) i, got.get(i).offset());
            }
        });
    }

    private static void assignments(Peer peer) {
        Statements.states("partitions may be taken and given back while reading (fetch sessions follow)", () -> {
            String topic = peer.topic("session", 4);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("fetch.max.wait.ms", 100)) {
                int[] sent = new int[4];
                int[][] assignments = {{0, 1}, {1}, {1, 2, 3}, {0, 3}, {0, 1, 2, 3}};
                long[] positions = new long[4];
                for (int[] assignment : assignments) {
                    List<TopicPartition> partitions = new ArrayList<>();
                    int due = 0;
                    for (int p : assignment) {
                        partitions.add(new TopicPartition(topic, p));
                        peer.send(new ProducerRecord<>(topic, p, null, Peer.bytes(p + ":" + sent[p]++)));
                        due += sent[p] - positions[p];
                    }
                    consumer.assign(partitions);
                    for (TopicPartition partition : partitions) {
                        consumer.seek(partition, positions[partition.partition()]);
                    }
                    for (ConsumerRecord<byte[], byte[]> record : Peer.poll(consumer, due)) {
                        Statements.expect("offset", positions[record.partition()], record.offset());
                        Statements.expect("value", record.partition() + ":" + record.offset(), Peer.text(record.value()));
                        positions[record.partition()]++;
                    }
                }
            }
        });
        Statements.states("paused partitions deliver nothing until they are resumed", () -> {
            String topic = peer.topic("pause", 2);
            List<TopicPartition> both = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("fetch.max.wait.ms", 100)) {
                consumer.assign(both);
                consumer.pause(both.subList(0, 1));
                peer.send(List.of(new ProducerRecord<>(topic, 0, null, Peer.bytes("a")), new ProducerRecord<>(topic, 1, null, Peer.bytes("b"))));
                Statements.expect("first", "b", Peer.text(Peer.poll(consumer, 1).get(0).value()));
                Statements.expect("nothing from the paused one", true, consumer.poll(Duration.ofMillis(500)).isEmpty());
                consumer.resume(both);
                Statements.expect("then", "a", Peer.text(Peer.poll(consumer, 1).get(0).value()));
            }
        });
        Statements.states("a topic deleted and created again is a new one: it reads from its own beginning", () -> {
            String topic = peer.topic("again", 1);
            peer.send(Peer.numbered(topic, 20));
            Peer.get(peer.admin.deleteTopics(List.of(topic)).all());
            Topics.awaitGone(peer, topic);
            peer.create(new NewTopic(topic, 1, (short) 1));
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(topic, Peer.bytes("new"))).offset());
            Statements.expect("value", "new", Peer.text(peer.read(topic, 1, 1).get(0).value()));
        });
    }

    private static void metadata(Peer peer) {
        Statements.states("partitionsFor tells each partition's leader, replicas and in-sync replicas", () -> {
            String topic = peer.topic("metadata", 5);
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer()) {
                var partitions = consumer.partitionsFor(topic);
                Statements.expect("partitions", 5, partitions.size());
                partitions.forEach(p -> {
                    Statements.expect("leader", true, p.leader() != null && p.leader().port() > 0);
                    Statements.expect("replicas", 1, p.replicas().length);
                    Statements.expect("in sync", p.leader().id(), p.inSyncReplicas()[0].id());
                });
                Statements.expect("listed", true, consumer.listTopics().containsKey(topic));
            }
        });
        Statements.states("a consumer with allow.auto.create.topics=false creates no topic", () -> {
            String topic = peer.name("not-sprung");
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer("allow.auto.create.topics", false)) {
                Statements.expect("partitions", List.of(), consumer.partitionsFor(topic, Duration.ofSeconds(20)));
            }
            Statements.expect("listed", false, Peer.get(peer.admin.listTopics().names()).contains(topic));
        });
        Statements.states("a consumer with allow.auto.create.topics=true (the default) creates the topic it asks for", () -> {
            String topic = peer.name("sprung");
            try (KafkaConsumer<byte[], byte[]> consumer = peer.consumer()) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                Peer.eventually("it is created", () -> {
                    consumer.poll(Duration.ofMillis(200));
                    return Peer.get(peer.admin.listTopics().names()).contains(topic);
                });
            }
        });
    }
}
