import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The broker under test, and how the statements reach it. Every wait ends after {@link #PATIENCE_S} seconds. */
final class Peer implements AutoCloseable {
    static final int PATIENCE_S = 60;

    final String bootstrap;
    final Admin admin;
    private final String run = Long.toString(System.nanoTime(), 36);
    private int topics = 0;

    Peer(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    @Override
    public void close() {
        admin.close(Duration.ofSeconds(PATIENCE_S));
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE_S, TimeUnit.SECONDS);
    }

    /** A name no run used before. */
    String name(String hint) {
        return "java-" + run + "-" + hint + "-" + topics++;
    }

    /** A topic whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows. */
    String keptTopic(String hint, int partitions) throws Exception {
        return topic(hint, partitions, "retention.ms", "-1");
    }

    String topic(String hint, int partitions, String... config) throws Exception {
        String name = name(hint);
        Map<String, String> configs = new HashMap<>();
        for (int i = 0; i < config.length; i += 2) {
            configs.put(config[i], config[i + 1]);
        }
        create(new NewTopic(name, Optional.of(partitions), Optional.empty()).configs(configs));
        return name;
    }

    /**
     * Kafka's controller answers before the broker leads the partitions. Waits until it does: it refuses the first batch of a producer
     * that is too early, may take its second, and then calls the first one out of order for ever.
     */
    void create(NewTopic topic) throws Exception {
        get(admin.createTopics(List.of(topic)).all());
        eventually("the topic is described and led", () -> {
            try {
                Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
                get(admin.describeTopics(List.of(topic.name())).allTopicNames()).get(topic.name()).partitions()
                    .forEach(p -> ends.put(new TopicPartition(topic.name(), p.partition()), OffsetSpec.latest()));
                get(admin.listOffsets(ends).all());
                get(admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, topic.name()))).all());
                return true;
            } catch (ExecutionException unknown) {
                return false;
            }
        });
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void eventually(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + PATIENCE_S + " s: " + what);
            }
            Thread.sleep(50);
        }
    }

    /** A producer that differs from the defaults in what is given and in nothing else. */
    KafkaProducer<byte[], byte[]> producer(Object... settings) {
        return new KafkaProducer<>(settings(settings), new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<byte[], byte[]> consumer(Object... settings) {
        Map<String, Object> all = settings(settings);
        all.putIfAbsent("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private Map<String, Object> settings(Object... settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        for (int i = 0; i < settings.length; i += 2) {
            all.put((String) settings[i], settings[i + 1]);
        }
        return all;
    }

    /** Sends them and waits until each is acknowledged. */
    List<RecordMetadata> send(Collection<ProducerRecord<byte[], byte[]>> records, Object... settings) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> record : records) {
                sent.add(producer.send(record));
            }
            List<RecordMetadata> acknowledged = new ArrayList<>();
            for (Future<RecordMetadata> future : sent) {
                acknowledged.add(get(future));
            }
            return acknowledged;
        }
    }

    RecordMetadata send(ProducerRecord<byte[], byte[]> record, Object... settings) throws Exception {
        return send(List.of(record), settings).get(0);
    }

    /** Numbered records in partition 0. */
    static List<ProducerRecord<byte[], byte[]>> numbered(String topic, int count) {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            records.add(new ProducerRecord<>(topic, 0, bytes("k" + i), bytes("v" + i)));
        }
        return records;
    }

    /** All partitions of the topic from the beginning, until as many records have come. */
    List<ConsumerRecord<byte[], byte[]>> read(String topic, int partitions, int count, Object... settings) {
        KafkaConsumer<byte[], byte[]> consumer = consumer(settings);
        try {
            List<TopicPartition> all = new ArrayList<>();
            for (int p = 0; p < partitions; p++) {
                all.add(new TopicPartition(topic, p));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            return poll(consumer, count);
        } finally {
            leave(consumer);
        }
    }

    /** Closes it without waiting for the answer to the fetch that is under way, which may take fetch.max.wait.ms. */
    static void leave(KafkaConsumer<?, ?> consumer) {
        consumer.close(CloseOptions.timeout(Duration.ZERO));
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (records.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("only " + records.size() + " of " + count + " records came within " + PATIENCE_S + " s");
            }
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    static byte[] bytes(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, java.nio.charset.StandardCharsets.UTF_8);
    }

    /** Bytes no compressor makes smaller, the same in every run. */
    static byte[] noise(int length) {
        byte[] noise = new byte[length];
        new java.util.Random(42).nextBytes(noise);
        return noise;
    }

    static byte[] zeros(int length) {
        byte[] zeros = new byte[length];
        Arrays.fill(zeros, (byte) '0');
        return zeros;
    }
}
