import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** A member with group.protocol=consumer that notes what its listener is told. Several take turns in being polled by one thread. */
final class NewerMember implements ConsumerRebalanceListener, AutoCloseable {
    final KafkaConsumer<byte[], byte[]> consumer;
    final List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
    private final String name;
    private final List<String> told;
    /** What is done before partitions are given back. */
    Runnable beforeRevoked = () -> {};

    /** `told` may be shared by several, whose lines then stand in the order in which they came. */
    NewerMember(Peer peer, String group, String name, List<String> told, Object... more) {
        this.name = name;
        this.told = told;
        consumer = peer.consumer(Stream.concat(
            Arrays.stream(new Object[] {"group.protocol", "consumer", "group.id", group, "client.id", name, "enable.auto.commit", false,
                "metadata.max.age.ms", 1000, "allow.auto.create.topics", false}),
            Arrays.stream(more)).toArray());
    }

    static NewerMember of(Peer peer, String group, String name, Object... more) {
        return new NewerMember(peer, group, name, new ArrayList<>(), more);
    }

    NewerMember subscribed(String... topics) {
        consumer.subscribe(List.of(topics), this);
        return this;
    }

    /** Polls them in turn until it holds. */
    static void until(String what, Peer.Condition condition, NewerMember... members) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Peer.PATIENCE_S);
        while (true) {
            for (NewerMember member : members) {
                member.consumer.poll(Duration.ofMillis(50)).forEach(member.read::add);
            }
            if (condition.holds()) {
                return;
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + Peer.PATIENCE_S + " s: " + what + ", but "
                    + Arrays.stream(members).map(m -> m.name + " owns " + m.owned()).collect(Collectors.joining(", ")));
            }
        }
    }

    /** Polls them in turn until they share these partitions and no two have one. */
    static void share(Set<String> all, NewerMember... members) throws Exception {
        until("they share " + all, () -> {
            List<String> owned = new ArrayList<>();
            for (NewerMember member : members) {
                owned.addAll(member.owned());
            }
            return owned.size() == all.size() && Set.copyOf(owned).equals(all);
        }, members);
    }

    NewerMember owning(String... topicsAndCounts) throws Exception {
        share(partitions(topicsAndCounts), this);
        return this;
    }

    /** `partitions("a", "2")` are a-0 and a-1. */
    static Set<String> partitions(String... topicsAndCounts) {
        Set<String> all = new TreeSet<>();
        for (int i = 0; i < topicsAndCounts.length; i += 2) {
            for (int p = 0; p < Integer.parseInt(topicsAndCounts[i + 1]); p++) {
                all.add(topicsAndCounts[i] + "-" + p);
            }
        }
        return all;
    }

    static Set<String> text(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::toString).collect(Collectors.toCollection(TreeSet::new));
    }

    Set<String> owned() {
        return text(consumer.assignment());
    }

    int epoch() {
        return consumer.groupMetadata().generationId();
    }

    String id() {
        return consumer.groupMetadata().memberId();
    }

    void commit(String topic, int partition, long offset) {
        consumer.commitSync(Map.of(new TopicPartition(topic, partition), new OffsetAndMetadata(offset)), Duration.ofSeconds(Peer.PATIENCE_S));
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> added) {
        told.add(name + " assigned " + text(added));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        beforeRevoked.run();
        told.add(name + " revoked " + text(revoked));
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
        told.add(name + " lost " + text(lost));
    }

    @Override
    public void close() {
        consumer.close();
    }
}
