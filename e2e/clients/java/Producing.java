import static java.util.Collections.nCopies;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;

/** What a producer may rely on. */
final class Producing {
    private static final String[] COMPRESSIONS = {"none", "gzip", "snappy", "lz4", "zstd"};

    private Producing() {}

    static void run(Peer peer) {
        for (String compression : COMPRESSIONS) {
            contents(peer, compression);
        }
        acknowledgements(peer);
        sizes(peer);
        timestamps(peer);
        topicSettings(peer);
        partitions(peer);
        topics(peer);
    }

    private static void contents(Peer peer, String compression) {
        Statements.states(compression + ": keys, values, headers, timestamps and order come back as sent", () -> {
            String topic = peer.keptTopic(compression, 1);
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                List<Header> headers = new ArrayList<>();
                for (int h = 0; h < i % 4; h++) {
                    // The same name several times, and an order that is not the alphabet's.
                    headers.add(new RecordHeader(h % 2 == 0 ? "z" : "a", h == 2 ? null : Peer.bytes("h" + i + h)));
                }
                byte[] key = i % 5 == 0 ? null : i % 7 == 0 ? new byte[0] : Peer.bytes("key" + i);
                byte[] value = i % 11 == 0 ? null : i % 13 == 0 ? new byte[0] : Arrays.copyOf(Peer.noise(i * 10), i * 20);
                sent.add(new ProducerRecord<>(topic, 0, 1_600_000_000_000L + (i * 37) % 101, key, value, headers));
            }
            peer.send(sent, "compression.type", compression, "linger.ms", 50, "batch.size", 100_000);
            List<ConsumerRecord<byte[], byte[]>> got = peer.read(topic, 1, sent.size());
            Statements.expect("records", sent.size(), got.size());
            for (int i = 0; i < sent.size(); i++) {
                same(i, sent.get(i), got.get(i));
            }
        });
        Statements.states(compression + ": a record of 1 MB comes back as sent", () -> {
            String topic = peer.topic(compression, 1);
            byte[] value = Peer.noise(1_000_000);
            peer.send(new ProducerRecord<>(topic, value), "compression.type", compression);
            Statements.expect("the value", Arrays.equals(value, peer.read(topic, 1, 1).get(0).value()));
        });
    }

    private static void same(int i, ProducerRecord<byte[], byte[]> sent, ConsumerRecord<byte[], byte[]> got) {
        Statements.expect("offset", (long) i, got.offset());
        Statements.expect("key of " + i, Arrays.equals(sent.key(), got.key()));
        Statements.expect("value of " + i, Arrays.equals(sent.value(), got.value()));
        Statements.expect("timestamp of " + i, sent.timestamp(), got.timestamp());
        Statements.expect("timestamp type", TimestampType.CREATE_TIME, got.timestampType());
        Iterator<Header> theirs = got.headers().iterator();
        for (Header header : sent.headers()) {
            Header other = theirs.next();
            Statements.expect("header name of " + i, header.key(), other.key());
            Statements.expect("header value of " + i, Arrays.equals(header.value(), other.value()));
        }
        Statements.expect("no further headers in " + i, !theirs.hasNext());
    }

    private static void acknowledgements(Peer peer) {
        Statements.states("acks=0: records are stored in order, and no offset is told", () -> {
            String topic = peer.topic("acks0", 1);
            List<RecordMetadata> told = peer.send(Peer.numbered(topic, 100), "acks", "0", "enable.idempotence", false);
            Statements.expect("told offset", false, told.get(0).hasOffset());
            expectNumbered(peer.read(topic, 1, 100));
        });
        for (String acks : List.of("1", "all")) {
            Statements.states("acks=" + acks + " without idempotence: offsets are told and consecutive", () -> {
                String topic = peer.topic("acks" + acks, 1);
                List<RecordMetadata> told = peer.send(Peer.numbered(topic, 500), "acks", acks, "enable.idempotence", false);
                expectConsecutive(told);
                expectNumbered(peer.read(topic, 1, 500));
            });
        }
        Statements.states("a producer with the defaults (idempotent): offsets are told and consecutive", () -> {
            String topic = peer.topic("idempotent", 1);
            expectConsecutive(peer.send(Peer.numbered(topic, 5_000), "batch.size", 500, "linger.ms", 1));
            expectNumbered(peer.read(topic, 1, 5_000));
        });
        Statements.states("two idempotent producers on one partition do not disturb each other", () -> {
            String topic = peer.topic("two", 1);
            try (KafkaProducer<byte[], byte[]> one = peer.producer(); KafkaProducer<byte[], byte[]> two = peer.producer()) {
                for (int i = 0; i < 100; i++) {
                    Future<RecordMetadata> a = one.send(new ProducerRecord<>(topic, Peer.bytes("one" + i)));
                    Future<RecordMetadata> b = two.send(new ProducerRecord<>(topic, Peer.bytes("two" + i)));
                    Peer.get(a);
                    Peer.get(b);
                }
            }
            List<ConsumerRecord<byte[], byte[]>> all = peer.read(topic, 1, 200);
            for (String who : List.of("one", "two")) {
                List<String> order = all.stream().map(r -> Peer.text(r.value())).filter(v -> v.startsWith(who)).toList();
                for (int i = 0; i < 100; i++) {
                    Statements.expect("order of " + who, who + i, order.get(i));
                }
            }
        });
    }

    private static void expectConsecutive(List<RecordMetadata> told) {
        for (int i = 0; i < told.size(); i++) {
            Statements.expect("told offset", (long) i, told.get(i).offset());
        }
    }

    private static void expectNumbered(List<ConsumerRecord<byte[], byte[]>> records) {
        for (int i = 0; i < records.size(); i++) {
            Statements.expect("value at " + i, "v" + i, Peer.text(records.get(i).value()));
            Statements.expect("offset", (long) i, records.get(i).offset());
        }
    }

    private static void sizes(Peer peer) {
        Statements.states("a record above the default max.message.bytes is refused: RecordTooLargeException", () -> {
            String topic = peer.topic("large", 1);
            Statements.refused(RecordTooLargeException.class,
                () -> peer.send(new ProducerRecord<>(topic, Peer.noise(1_100_000)), "max.request.size", 2_000_000));
            Statements.expect("offset of the next", 0L, peer.send(new ProducerRecord<>(topic, Peer.bytes("small"))).offset());
        });
        Statements.states("a large record whose compressed batch is small enough is accepted", () -> {
            String topic = peer.topic("large", 1);
            peer.send(new ProducerRecord<>(topic, Peer.zeros(1_900_000)), "max.request.size", 2_000_000, "compression.type", "zstd");
            Statements.expect("length", 1_900_000, peer.read(topic, 1, 1).get(0).value().length);
        });
        Statements.states("a topic's own max.message.bytes decides what is too large", () -> {
            String topic = peer.topic("limit", 1, "max.message.bytes", "1000");
            Statements.refused(RecordTooLargeException.class, () -> peer.send(new ProducerRecord<>(topic, Peer.noise(1_000))));
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(topic, Peer.noise(900))).offset());
            String wide = peer.topic("limit", 1, "max.message.bytes", "3000000");
            peer.send(new ProducerRecord<>(wide, Peer.noise(2_500_000)), "max.request.size", 3_000_000);
            Statements.expect("length", 2_500_000, peer.read(wide, 1, 1).get(0).value().length);
        });
        Statements.states("a batch that is too large is split by the producer, and every record arrives once", () -> {
            String topic = peer.topic("split", 1, "max.message.bytes", "3000");
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                records.add(new ProducerRecord<>(topic, Peer.bytes("v" + i), Peer.noise(500)));
            }
            expectConsecutive(peer.send(records, "batch.size", 100_000, "linger.ms", 100));
            List<ConsumerRecord<byte[], byte[]>> got = peer.read(topic, 1, 50);
            for (int i = 0; i < 50; i++) {
                Statements.expect("key at " + i, "v" + i, Peer.text(got.get(i).key()));
            }
        });
    }

    private static void timestamps(Peer peer) {
        Statements.states("LogAppendTime: the broker's clock replaces the record's timestamp, and is told", () -> {
            String topic = peer.topic("append-time", 1, "message.timestamp.type", "LogAppendTime");
            long before = System.currentTimeMillis();
            for (String compression : COMPRESSIONS) {
                RecordMetadata told = peer.send(new ProducerRecord<>(topic, 0, 1_000L, null, Peer.bytes("v")), "compression.type", compression);
                Statements.expect("told timestamp", told.timestamp() >= before && told.timestamp() <= System.currentTimeMillis());
            }
            for (ConsumerRecord<byte[], byte[]> got : peer.read(topic, 1, COMPRESSIONS.length)) {
                Statements.expect("type", TimestampType.LOG_APPEND_TIME, got.timestampType());
                Statements.expect("timestamp", got.timestamp() >= before && got.timestamp() <= System.currentTimeMillis());
            }
        });
        Statements.states("a timestamp two hours ahead is refused by default: InvalidTimestampException", () -> {
            String topic = peer.topic("ahead", 1);
            long ahead = System.currentTimeMillis() + 7_200_000;
            Statements.refused(InvalidTimestampException.class, () -> peer.send(new ProducerRecord<>(topic, 0, ahead, null, Peer.bytes("v"))));
        });
        Statements.states("message.timestamp.before.max.ms and after.max.ms decide which timestamps are refused", () -> {
            String topic = peer.topic("bounds", 1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "9000000");
            long now = System.currentTimeMillis();
            Statements.refused(InvalidTimestampException.class,
                () -> peer.send(new ProducerRecord<>(topic, 0, now - 120_000, null, Peer.bytes("old"))));
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(topic, 0, now + 7_200_000, null, Peer.bytes("v"))).offset());
        });
    }

    private static void topicSettings(Peer peer) {
        Statements.states("a compacted topic refuses a record without key, and takes one with a key and no value", () -> {
            String topic = peer.topic("compact", 1, "cleanup.policy", "compact");
            Statements.refused(org.apache.kafka.common.InvalidRecordException.class, () -> peer.send(new ProducerRecord<>(topic, Peer.bytes("v"))));
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(topic, Peer.bytes("k"), null)).offset());
        });
        for (String stored : new String[] {"uncompressed", "gzip", "snappy", "lz4", "zstd"}) {
            Statements.states("compression.type=" + stored + " on the topic: records of every compression come back as sent", () -> {
                String topic = peer.topic("stored", 1, "compression.type", stored, "retention.ms", "-1");
                for (String compression : COMPRESSIONS) {
                    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
                    for (int i = 0; i < 20; i++) {
                        records.add(new ProducerRecord<>(topic, 0, 5_000L + i, Peer.bytes(compression), Peer.bytes("v" + i)));
                    }
                    peer.send(records, "compression.type", compression, "linger.ms", 50);
                }
                List<ConsumerRecord<byte[], byte[]>> got = peer.read(topic, 1, 20 * COMPRESSIONS.length);
                for (int i = 0; i < got.size(); i++) {
                    Statements.expect("offset", (long) i, got.get(i).offset());
                    Statements.expect("key", COMPRESSIONS[i / 20], Peer.text(got.get(i).key()));
                    Statements.expect("value", "v" + i % 20, Peer.text(got.get(i).value()));
                    Statements.expect("timestamp", 5_000L + i % 20, got.get(i).timestamp());
                }
            });
        }
    }

    private static void partitions(Peer peer) {
        Statements.states("100 partitions: each keeps its order, and nothing is lost or doubled", () -> {
            String topic = peer.topic("hundred", 100);
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < 3_000; i++) {
                records.add(new ProducerRecord<>(topic, i % 100, null, Peer.bytes(Integer.toString(i))));
            }
            peer.send(records, "batch.size", 400, "linger.ms", 5, "compression.type", "lz4");
            List<Integer> next = new ArrayList<>(nCopies(100, 0));
            for (ConsumerRecord<byte[], byte[]> got : peer.read(topic, 100, 3_000)) {
                int turn = next.get(got.partition());
                Statements.expect("offset", (long) turn, got.offset());
                Statements.expect("value", turn * 100 + got.partition(), Integer.parseInt(Peer.text(got.value())));
                next.set(got.partition(), turn + 1);
            }
            Statements.expect("records of each partition", nCopies(100, 30), next);
        });
    }

    private static void topics(Peer peer) {
        Statements.states("producing to a topic that does not exist creates it", () -> {
            String topic = peer.name("sprung");
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(topic, Peer.bytes("v"))).offset());
            Statements.expect("value", "v", Peer.text(peer.read(topic, 1, 1).get(0).value()));
        });
        Statements.states("producing to a topic whose name is invalid is refused: InvalidTopicException", () ->
            Statements.refused(InvalidTopicException.class, () -> peer.send(new ProducerRecord<>("no spaces allowed", Peer.bytes("v")))));
    }
}
