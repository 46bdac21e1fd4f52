import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group that says what happens to it; `groups/crew.py` tells what it is called with and what the lines mean. */
public final class GroupMember implements ConsumerRebalanceListener {
    private static final Map<String, String> ASSIGNORS = Map.of(
        "range", "org.apache.kafka.clients.consumer.RangeAssignor",
        "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
    /** Before the name of an assignor that is the broker's: such a member has group.protocol=consumer. */
    private static final String REMOTE = "remote-";
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String name;

    private GroupMember(String[] arguments) {
        name = arguments[2];
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[1],
            "client.id", name,
            "metadata.max.age.ms", 2000,
            "auto.offset.reset", "earliest",
            "enable.auto.commit", false,
            "allow.auto.create.topics", false));
        boolean newer = arguments[4].startsWith(REMOTE);
        if (newer) {
            // Time-outs are the broker's matter.
            settings.putAll(Map.of("group.protocol", "consumer", "group.remote.assignor", arguments[4].substring(REMOTE.length())));
        } else {
            settings.putAll(Map.of("partition.assignment.strategy", ASSIGNORS.get(arguments[4]), "session.timeout.ms", arguments[5],
                "heartbeat.interval.ms", 1000));
        }
        if (!arguments[6].equals("-")) {
            settings.put("group.instance.id", arguments[6]);
        }
        consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        if (!arguments[3].startsWith("^")) {
            consumer.subscribe(java.util.List.of(arguments[3].split(",")), this);
        } else if (newer) {
            consumer.subscribe(new SubscriptionPattern(arguments[3]), this);
        } else {
            consumer.subscribe(java.util.regex.Pattern.compile(arguments[3]), this);
        }
    }

    public static void main(String[] arguments) throws Exception {
        AtomicBoolean leaving = new AtomicBoolean();
        Thread commands = new Thread(() -> {
            try {
                System.in.read();
            } catch (java.io.IOException closed) {
                // As good as a word.
            }
            leaving.set(true);
        });
        commands.setDaemon(true);
        commands.start();
        GroupMember member = new GroupMember(arguments);
        try {
            while (!leaving.get()) {
                member.turn();
            }
        } catch (FencedInstanceIdException | UnreleasedInstanceIdException fenced) {
            say("fenced", fenced.getClass().getSimpleName());
            Runtime.getRuntime().halt(3);
        }
        member.consumer.close();
        say("left");
        System.exit(0);
    }

    private void turn() {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
        int generation = consumer.groupMetadata().generationId();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : records.partitions()) {
            var some = records.records(partition);
            ConsumerRecord<byte[], byte[]> first = some.get(0);
            ConsumerRecord<byte[], byte[]> last = some.get(some.size() - 1);
            say("read", generation, partition.topic(), partition.partition(), first.offset(), last.offset());
            offsets.put(partition, new OffsetAndMetadata(last.offset() + 1, "by " + name));
        }
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets, Duration.ofSeconds(30));
            offsets.forEach((p, o) -> say("committed", generation, p.topic(), p.partition(), o.offset()));
        } catch (CommitFailedException | RebalanceInProgressException | RetriableException refusal) {
            say("refused", refusal.getClass().getSimpleName());
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> added) {
        say("assigned", consumer.groupMetadata().generationId(), consumer.groupMetadata().memberId(), text(consumer.assignment()));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        say("revoked", text(revoked));
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
        say("lost", text(lost));
    }

    private static String text(Collection<TopicPartition> partitions) {
        return partitions.isEmpty() ? "-" : partitions.stream().map(p -> p.topic() + ":" + p.partition()).collect(Collectors.joining(","));
    }

    private static synchronized void say(Object... words) {
        System.out.println(java.util.Arrays.stream(words).map(String::valueOf).collect(Collectors.joining(" ")));
        System.out.flush();
    }
}
