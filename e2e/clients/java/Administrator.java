import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberAssignment;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Administrator BOOTSTRAP: does what its input says, a line each, and answers each with lines that end with a `.`, or with `! CLASS MESSAGE`.
 * `groups/administrator.py` asks it. Partitions are `topic:number,...` or `-`, and what there is not is `-`.
 *
 *   describe GROUP             group STATE TYPE EPOCH ASSIGNOR, then member CLIENT MEMBER INSTANCE EPOCH classic|consumer|- OWNED TARGET
 *   offsets GROUP              offset TOPIC PARTITION OFFSET METADATA
 *   create|grow TOPIC COUNT    done when a leader serves each partition
 *   delete TOPIC
 *   configure GROUP KEY=VALUE...
 */
public final class Administrator {
    private static final int PATIENCE_S = 150;

    private final Admin admin;
    private final List<String> answer = new ArrayList<>();

    private Administrator(String bootstrap) {
        // A broker that is away is asked again by whoever asks us.
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 20_000, "request.timeout.ms", 10_000,
            "reconnect.backoff.max.ms", 500));
    }

    public static void main(String[] arguments) throws Exception {
        Administrator administrator = new Administrator(arguments[0]);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            administrator.answer.clear();
            try {
                administrator.obey(line.split(" "));
                administrator.answer.forEach(System.out::println);
                System.out.println(".");
            } catch (Exception refusal) {
                Throwable cause = refusal instanceof ExecutionException ? refusal.getCause() : refusal;
                System.out.println("! " + cause.getClass().getSimpleName() + " " + String.valueOf(cause.getMessage()).replace('\n', ' '));
            }
            System.out.flush();
        }
        administrator.admin.close(Duration.ofSeconds(5));
    }

    private void obey(String[] words) throws Exception {
        switch (words[0]) {
            case "describe" -> describe(words[1]);
            case "offsets" -> offsets(words[1]);
            case "create" -> {
                admin.createTopics(List.of(new NewTopic(words[1], Integer.parseInt(words[2]), (short) 1))).all().get();
                awaitLed(words[1], Integer.parseInt(words[2]));
            }
            case "grow" -> {
                admin.createPartitions(Map.of(words[1], NewPartitions.increaseTo(Integer.parseInt(words[2])))).all().get();
                awaitLed(words[1], Integer.parseInt(words[2]));
            }
            case "delete" -> admin.deleteTopics(List.of(words[1])).all().get();
            case "configure" -> configure(words);
            default -> throw new IllegalArgumentException("unknown command " + words[0]);
        }
    }

    private void describe(String group) throws Exception {
        ConsumerGroupDescription told = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        say("group", told.groupState(), told.type(), text(told.groupEpoch()), told.partitionAssignor().isEmpty() ? "-" : told.partitionAssignor());
        for (MemberDescription member : told.members()) {
            String protocol = member.upgraded().map(upgraded -> upgraded ? "consumer" : "classic").orElse("-");
            say("member", member.clientId(), member.consumerId(), text(member.groupInstanceId()), text(member.memberEpoch()), protocol,
                text(member.assignment().topicPartitions()),
                text(member.targetAssignment().map(MemberAssignment::topicPartitions).orElse(java.util.Set.of())));
        }
    }

    private void offsets(String group) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> told = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        told.forEach((partition, kept) -> {
            if (kept != null) {
                say("offset", partition.topic(), partition.partition(), kept.offset(), kept.metadata());
            }
        });
    }

    private void configure(String[] words) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (int i = 2; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            changes.add(new AlterConfigOp(new ConfigEntry(pair[0], pair[1]), AlterConfigOp.OpType.SET));
        }
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, words[1]), changes)).all().get();
    }

    /** Kafka's controller answers before the broker leads the partitions. */
    private void awaitLed(String topic, int count) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (true) {
            try {
                int there = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
                if (there == count) {
                    Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
                    for (int p = 0; p < count; p++) {
                        ends.put(new TopicPartition(topic, p), OffsetSpec.earliest());
                    }
                    admin.listOffsets(ends).all().get();
                    return;
                }
            } catch (ExecutionException unknown) {
                // Not yet.
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(topic + " is not led within " + PATIENCE_S + " s");
            }
            Thread.sleep(100);
        }
    }

    private static String text(Optional<?> value) {
        return value.map(String::valueOf).orElse("-");
    }

    private static String text(Collection<TopicPartition> partitions) {
        return partitions.isEmpty() ? "-" : partitions.stream().map(p -> p.topic() + ":" + p.partition()).collect(Collectors.joining(","));
    }

    private void say(Object... words) {
        answer.add(java.util.Arrays.stream(words).map(String::valueOf).collect(Collectors.joining(" ")));
    }
}
