import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Rebalance BOOTSTRAP TOPIC PARTITIONS MEMBERS PROTOCOL TIMES SECONDS: how long members need until each has its final share.
 *
 * PROTOCOL is range or cooperative-sticky (classic, the client's assignors), or consumer. TIMES groups, one after the other, each a group of
 * its own: all members start together; one leaves; one joins. Prints `STEP MILLISECONDS` for each, from the first call to the last
 * callback; `STEP late` when it is not done after SECONDS. Consumers are made before the clock starts, and one group is not printed, for a
 * fresh JVM is another program.
 */
public final class Rebalance {
    /** For so long nobody must be told anything anew, or it was not the final share. */
    private static final long QUIET_NS = TimeUnit.SECONDS.toNanos(3);

    private static String bootstrap;
    private static String topic;
    private static String protocol;
    private static int partitions;
    private static long boundNs;

    /** What all members own, and when one of them was last told something. */
    private final List<Member> members = new ArrayList<>();
    private long changedNs = System.nanoTime();

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        topic = arguments[1];
        partitions = Integer.parseInt(arguments[2]);
        int count = Integer.parseInt(arguments[3]);
        protocol = arguments[4];
        int times = Integer.parseInt(arguments[5]);
        boundNs = TimeUnit.SECONDS.toNanos(Long.parseLong(arguments[6]));
        for (int i = 0; i <= times; i++) {
            new Rebalance().once("rebalance-" + protocol + "-" + System.nanoTime(), count, i > 0);
        }
        System.exit(0);
    }

    private void once(String group, int count, boolean isPrinted) throws Exception {
        List<Member> first = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            first.add(new Member(group));
        }
        Member late = new Member(group);
        step("start", isPrinted, () -> first.forEach(Member::begin));
        step("leave", isPrinted, () -> first.get(count / 2).end());
        step("join", isPrinted, late::begin);
        for (Member member : List.copyOf(members)) {
            member.end();
        }
        for (Member member : first) {
            member.thread.join();
        }
        late.thread.join();
    }

    private void step(String name, boolean isPrinted, Runnable what) throws Exception {
        long began = System.nanoTime();
        what.run();
        while (true) {
            long now = System.nanoTime();
            synchronized (this) {
                if (isFinal() && now - changedNs > QUIET_NS) {
                    if (isPrinted) {
                        System.out.println(name + " " + TimeUnit.NANOSECONDS.toMillis(changedNs - began));
                    }
                    return;
                }
            }
            if (now - began > boundNs) {
                System.out.println(name + " late");
                return;
            }
            Thread.sleep(10);
        }
    }

    /** Every partition has one owner, and no member has two more than another. */
    private boolean isFinal() {
        Set<TopicPartition> all = new HashSet<>();
        int sum = 0;
        int least = Integer.MAX_VALUE;
        int most = 0;
        for (Member member : members) {
            all.addAll(member.owned);
            sum += member.owned.size();
            least = Math.min(least, member.owned.size());
            most = Math.max(most, member.owned.size());
        }
        return sum == partitions && all.size() == partitions && most - least <= 1;
    }

    private final class Member implements ConsumerRebalanceListener {
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final Set<TopicPartition> owned = new HashSet<>();
        private final Thread thread = new Thread(this::run);
        private volatile boolean isLeaving;

        private Member(String group) {
            Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", group, "enable.auto.commit", false,
                "auto.offset.reset", "earliest"));
            switch (protocol) {
                case "consumer" -> settings.put("group.protocol", "consumer");
                case "range" -> settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
                default -> settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
            }
            consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }

        private void begin() {
            synchronized (Rebalance.this) {
                members.add(this);
            }
            thread.start();
        }

        /** Does not wait for it. */
        private void end() {
            synchronized (Rebalance.this) {
                members.remove(this);
            }
            isLeaving = true;
            consumer.wakeup();
        }

        private void run() {
            try {
                consumer.subscribe(List.of(topic), this);
                while (!isLeaving) {
                    consumer.poll(Duration.ofMillis(100));
                }
            } catch (org.apache.kafka.common.errors.WakeupException leaving) {
                // As it should.
            } finally {
                consumer.close();
            }
        }

        private void told(Collection<TopicPartition> some, boolean isOwned) {
            synchronized (Rebalance.this) {
                if (isOwned ? owned.addAll(some) : owned.removeAll(some)) {
                    changedNs = System.nanoTime();
                }
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
            told(added, true);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            told(revoked, false);
        }
    }
}
