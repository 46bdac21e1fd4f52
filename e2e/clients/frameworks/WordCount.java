import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/** WordCount BOOTSTRAP PEER FOLDER: what Kafka Streams, at least once, expects of Kafka. */
final class WordCount {
    private static final int PATIENCE_S = 120;
    private static final int PARTITIONS = 3;
    private static final String RUN = Long.toString(System.nanoTime(), 36);
    private static final String APPLICATION = "streams-" + RUN;
    private static final String LINES = APPLICATION + "-lines";
    private static final String COUNTS = APPLICATION + "-counts";
    private static String bootstrap;
    private static Path folder;
    private static Admin admin;
    private static final Map<String, Long> expected = new HashMap<>();

    private WordCount() {}

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        folder = Path.of(arguments[2]);
        System.out.println("# Kafka Streams " + AppInfoParser.getVersion() + " against " + arguments[1]);
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        admin.createTopics(List.of(new NewTopic(LINES, PARTITIONS, (short) 1), new NewTopic(COUNTS, PARTITIONS, (short) 1))).all().get(PATIENCE_S, TimeUnit.SECONDS);

        Statements.states("words are counted over a repartition topic and a store, and the counts come out", () -> {
            write(200);
            try (KafkaStreams one = started("one")) {
                awaitCounts();
            }
        });
        Statements.states("the topics behind it are made as they must be: the changelog compacted, the repartition topic never cut by time", () -> {
            Map<String, String> policies = new HashMap<>();
            for (String topic : admin.listTopics().names().get(PATIENCE_S, TimeUnit.SECONDS)) {
                if (topic.startsWith(APPLICATION + "-") && !topic.equals(LINES) && !topic.equals(COUNTS)) {
                    var resource = new org.apache.kafka.common.config.ConfigResource(org.apache.kafka.common.config.ConfigResource.Type.TOPIC, topic);
                    var config = admin.describeConfigs(List.of(resource)).all().get(PATIENCE_S, TimeUnit.SECONDS).get(resource);
                    policies.put(topic.substring(topic.lastIndexOf('-') + 1), config.get("cleanup.policy").value() + " " + config.get("retention.ms").value());
                }
            }
            Statements.expect("cleanup.policy and retention.ms", Map.of("changelog", "compact 604800000", "repartition", "delete -1"), policies);
        });
        Statements.states("started again on an empty disk, the counts are restored from the changelog, and go on", () -> {
            write(100);
            try (KafkaStreams two = started("two")) {
                awaitCounts();
                Statements.expect("the store", expected, stored(List.of(two)));
            }
        });
        Statements.states("a second instance takes over tasks, both count on, and when one ends the other has all", () -> {
            KafkaStreams one = started("three");
            KafkaStreams two = started("four");
            try {
                eventually("both have tasks", () -> tasks(one) > 0 && tasks(two) > 0);
                write(150);
                awaitCounts();
                eventually("the stores together", () -> expected.equals(stored(List.of(one, two))));
                two.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(Duration.ofSeconds(PATIENCE_S)));
                write(50);
                awaitCounts();
                eventually("one store has all", () -> expected.equals(stored(List.of(one))));
            } finally {
                one.close(Duration.ofSeconds(PATIENCE_S));
                two.close(Duration.ofSeconds(PATIENCE_S));
            }
        });
        Statements.states("its commits are seen by an administrator, and what is behind the repartition topic's commits is deleted", () -> {
            var committed = admin.listConsumerGroupOffsets(APPLICATION).partitionsToOffsetAndMetadata().get(PATIENCE_S, TimeUnit.SECONDS);
            long read = 0;
            for (int p = 0; p < PARTITIONS; p++) {
                read += committed.get(new TopicPartition(LINES, p)).offset();
            }
            Statements.expect("lines read", 500L, read);
        });
        int code = Statements.end();
        admin.close();
        System.exit(code);
    }

    private static KafkaStreams started(String instance) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(LINES)
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.as("words"))
            .count(Materialized.as("counts-store"))
            .toStream()
            .to(COUNTS, Produced.with(Serdes.String(), Serdes.Long()));
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, APPLICATION);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder.resolve("streams-" + instance).toString());
        settings.put(StreamsConfig.CLIENT_ID_CONFIG, instance);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        settings.put("auto.offset.reset", "earliest");
        settings.put("session.timeout.ms", 10_000);
        settings.put("heartbeat.interval.ms", 500);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.start();
        eventually(instance + " runs", () -> {
            if (streams.state() == KafkaStreams.State.ERROR) {
                throw new AssertionError(instance + " is in state ERROR");
            }
            return streams.state() == KafkaStreams.State.RUNNING;
        });
        return streams;
    }

    private static long tasks(KafkaStreams streams) {
        return streams.metadataForLocalThreads().stream().mapToLong(thread -> thread.activeTasks().size()).sum();
    }

    private static void write(int lines) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int i = 0; i < lines; i++) {
                String line = "all w" + i % 7 + " w" + i % 11;
                for (String word : line.split(" ")) {
                    expected.merge(word, 1L, Long::sum);
                }
                producer.send(new ProducerRecord<>(LINES, "k" + i, line)).get(PATIENCE_S, TimeUnit.SECONDS);
            }
        }
    }

    private static Map<String, Long> stored(List<KafkaStreams> instances) {
        Map<String, Long> all = new HashMap<>();
        for (KafkaStreams streams : instances) {
            try {
                var store = streams.store(StoreQueryParameters.fromNameAndType("counts-store", QueryableStoreTypes.<String, Long>keyValueStore()));
                try (var entries = store.all()) {
                    entries.forEachRemaining(entry -> all.put(entry.key, entry.value));
                }
            } catch (org.apache.kafka.streams.errors.InvalidStateStoreException rebalancing) {
                return Map.of();
            }
        }
        return all;
    }

    /** The last count of each word in the topic of counts is what it must be. */
    private static void awaitCounts() throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "key.deserializer", StringDeserializer.class, "value.deserializer", LongDeserializer.class,
            "auto.offset.reset", "earliest");
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> all = new ArrayList<>();
            for (int p = 0; p < PARTITIONS; p++) {
                all.add(new TopicPartition(COUNTS, p));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<String, Long> last = new HashMap<>();
            eventually("the counts are right", () -> {
                for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(200))) {
                    last.put(record.key(), record.value());
                }
                return expected.equals(last);
            });
        }
    }

    private static void eventually(String what, BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + PATIENCE_S + " s: " + what);
            }
            Thread.sleep(50);
        }
    }
}
