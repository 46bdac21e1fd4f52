import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics: created, described, grown and deleted. */
final class Topics {
    private Topics() {}

    static void run(Peer peer) {
        creation(peer);
        refusals(peer);
        deletion(peer);
        growth(peer);
    }

    static TopicDescription describe(Peer peer, String topic) throws Exception {
        return Peer.get(peer.admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
    }

    static void awaitGone(Peer peer, String topic) throws Exception {
        Peer.eventually("the topic is gone", () -> !Peer.get(peer.admin.listTopics().names()).contains(topic));
    }

    private static void awaitPartitions(Peer peer, String topic, int count) throws Exception {
        Peer.eventually(count + " partitions are described", () -> {
            try {
                return describe(peer, topic).partitions().size() == count;
            } catch (ExecutionException unknown) {
                return false;
            }
        });
    }

    private static CreateTopicsResult create(Peer peer, NewTopic... topics) {
        return peer.admin.createTopics(List.of(topics));
    }

    private static int nodeId(Peer peer) throws Exception {
        return Peer.get(peer.admin.describeCluster().nodes()).iterator().next().id();
    }

    private static void creation(Peer peer) {
        Statements.states("create and describe: partitions, leader, replicas, topic id and settings", () -> {
            String name = peer.name("create");
            CreateTopicsResult created = create(peer, new NewTopic(name, 3, (short) 1).configs(Map.of("retention.ms", "12345")));
            awaitPartitions(peer, name, 3);
            Statements.expect("told partitions", 3, Peer.get(created.numPartitions(name)));
            Statements.expect("told replication factor", 1, Peer.get(created.replicationFactor(name)));
            ConfigEntry retention = Peer.get(created.config(name)).get("retention.ms");
            Statements.expect("told setting", "12345", retention.value());
            Statements.expect("its source", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, retention.source());
            TopicDescription described = describe(peer, name);
            Statements.expect("topic id", Peer.get(created.topicId(name)), described.topicId());
            Statements.expect("a topic id", false, described.topicId().equals(Uuid.ZERO_UUID));
            Statements.expect("internal", false, described.isInternal());
            Statements.expect("partitions", 3, described.partitions().size());
            int node = nodeId(peer);
            for (int p = 0; p < 3; p++) {
                Statements.expect("partition", p, described.partitions().get(p).partition());
                Statements.expect("leader", node, described.partitions().get(p).leader().id());
                Statements.expect("replicas", List.of(node), described.partitions().get(p).replicas().stream().map(n -> n.id()).toList());
                Statements.expect("in sync", List.of(node), described.partitions().get(p).isr().stream().map(n -> n.id()).toList());
            }
        });
        Statements.states("describe by topic id; an unknown id is refused: UnknownTopicIdException", () -> {
            String name = peer.topic("by-id", 2);
            Uuid id = describe(peer, name).topicId();
            Statements.expect("name", name,
                Peer.get(peer.admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id).name());
            Uuid unknown = Uuid.randomUuid();
            Statements.refused(UnknownTopicIdException.class,
                () -> Peer.get(peer.admin.describeTopics(TopicCollection.ofTopicIds(List.of(unknown))).allTopicIds()));
        });
        Statements.states("describing 100 partitions in pages of 7 gives all of them in order", () -> {
            String name = peer.topic("pages", 100);
            var options = new DescribeTopicsOptions().partitionSizeLimitPerResponse(7);
            TopicDescription described = Peer.get(peer.admin.describeTopics(List.of(name), options).allTopicNames()).get(name);
            Statements.expect("partitions", java.util.stream.IntStream.range(0, 100).boxed().toList(),
                described.partitions().stream().map(p -> p.partition()).toList());
        });
        Statements.states("without counts the broker's defaults are taken", () -> {
            String name = peer.name("defaults");
            peer.create(new NewTopic(name, Optional.empty(), Optional.empty()));
            Statements.expect("partitions", 1, describe(peer, name).partitions().size());
        });
        Statements.states("replicas may be assigned by hand", () -> {
            String name = peer.name("by-hand");
            int node = nodeId(peer);
            peer.create(new NewTopic(name, Map.of(0, List.of(node), 1, List.of(node))));
            Statements.expect("partitions", 2, describe(peer, name).partitions().size());
        });
        Statements.states("validate only: the answer is complete and nothing is created", () -> {
            String name = peer.name("validate");
            CreateTopicsResult told = peer.admin.createTopics(List.of(new NewTopic(name, 4, (short) 1)), new CreateTopicsOptions().validateOnly(true));
            Statements.expect("partitions", 4, Peer.get(told.numPartitions(name)));
            Statements.expect("listed", false, Peer.get(peer.admin.listTopics().names()).contains(name));
        });
        Statements.states("of two topics in a request the good one is created and the bad one refused", () -> {
            String good = peer.name("good");
            CreateTopicsResult told = create(peer, new NewTopic(good, 1, (short) 1), new NewTopic("bad name", 1, (short) 1));
            Peer.get(told.values().get(good));
            Statements.refused(InvalidTopicException.class, () -> Peer.get(told.values().get("bad name")));
            awaitPartitions(peer, good, 1);
        });
        Statements.states("a name of 249 characters is allowed", () -> {
            String name = (peer.name("long-") + "x".repeat(249)).substring(0, 249);
            peer.create(new NewTopic(name, 1, (short) 1));
            Peer.get(peer.admin.deleteTopics(List.of(name)).all());
        });
    }

    private static void refusals(Peer peer) {
        Statements.states("a topic that exists is not created again: TopicExistsException", () -> {
            String name = peer.topic("exists", 1);
            Statements.refused(TopicExistsException.class, () -> Peer.get(create(peer, new NewTopic(name, 2, (short) 1)).all()));
            Statements.expect("partitions", 1, describe(peer, name).partitions().size());
        });
        for (String name : List.of(".", "..", "a b", "a/b", "a:b", "ä", "x".repeat(250))) {
            String shown = name.length() > 20 ? "of 250 characters" : "\"" + name + "\"";
            Statements.states("a topic name " + shown + " is refused: InvalidTopicException", () ->
                Statements.refused(InvalidTopicException.class, () -> Peer.get(create(peer, new NewTopic(name, 1, (short) 1)).all())));
        }
        Statements.states("names that differ only in . and _ collide: InvalidTopicException", () -> {
            String name = peer.name("with.dot");
            Peer.get(create(peer, new NewTopic(name, 1, (short) 1)).all());
            Statements.refused(InvalidTopicException.class, () -> Peer.get(create(peer, new NewTopic(name.replace('.', '_'), 1, (short) 1)).all()));
        });
        Statements.states("more replicas than brokers are refused: InvalidReplicationFactorException", () ->
            Statements.refused(InvalidReplicationFactorException.class,
                () -> Peer.get(create(peer, new NewTopic(peer.name("rf"), 1, (short) 4)).all())));
        Statements.states("a replication factor of 0 is refused: InvalidReplicationFactorException", () ->
            Statements.refused(InvalidReplicationFactorException.class,
                () -> Peer.get(create(peer, new NewTopic(peer.name("rf"), 1, (short) 0)).all())));
        Statements.states("0 partitions are refused: InvalidPartitionsException", () ->
            Statements.refused(InvalidPartitionsException.class, () -> Peer.get(create(peer, new NewTopic(peer.name("p"), 0, (short) 1)).all())));
        Statements.states("an assignment to an unknown broker is refused: InvalidReplicaAssignmentException", () ->
            Statements.refused(InvalidReplicaAssignmentException.class,
                () -> Peer.get(create(peer, new NewTopic(peer.name("hand"), Map.of(0, List.of(4711)))).all())));
        Statements.states("an assignment that skips a partition is refused: InvalidReplicaAssignmentException", () -> {
            int node = nodeId(peer);
            Statements.refused(InvalidReplicaAssignmentException.class,
                () -> Peer.get(create(peer, new NewTopic(peer.name("hand"), Map.of(0, List.of(node), 2, List.of(node)))).all()));
        });
        Statements.states("an assignment that names a broker twice is refused: InvalidReplicaAssignmentException", () -> {
            int node = nodeId(peer);
            Statements.refused(InvalidReplicaAssignmentException.class,
                () -> Peer.get(create(peer, new NewTopic(peer.name("hand"), Map.of(0, List.of(node, node)))).all()));
        });
        String[][] settings = {{"no.such.setting", "1"}, {"retention.ms", "soon"}, {"cleanup.policy", "burn"}, {"max.message.bytes", "-1"},
            {"compression.type", "rar"}, {"message.timestamp.type", "Never"}, {"min.insync.replicas", "0"}, {"segment.bytes", "1"}};
        for (String[] setting : settings) {
            Statements.states("the topic setting " + setting[0] + "=" + setting[1] + " is refused: InvalidConfigurationException", () ->
                Statements.refused(InvalidConfigurationException.class,
                    () -> Peer.get(create(peer, new NewTopic(peer.name("set"), 1, (short) 1).configs(Map.of(setting[0], setting[1]))).all())));
        }
        Statements.states("describing an unknown topic is refused and does not create it: UnknownTopicOrPartitionException", () -> {
            String name = peer.name("unknown");
            Statements.refused(UnknownTopicOrPartitionException.class, () -> describe(peer, name));
            Statements.expect("listed", false, Peer.get(peer.admin.listTopics().names()).contains(name));
        });
    }

    private static void deletion(Peer peer) {
        Statements.states("a deleted topic is gone; deleting it again is refused: UnknownTopicOrPartitionException", () -> {
            String name = peer.topic("delete", 2);
            Peer.get(peer.admin.deleteTopics(List.of(name)).all());
            awaitGone(peer, name);
            Statements.refused(UnknownTopicOrPartitionException.class, () -> describe(peer, name));
            Statements.refused(UnknownTopicOrPartitionException.class, () -> Peer.get(peer.admin.deleteTopics(List.of(name)).all()));
        });
        Statements.states("delete by topic id; an unknown id is refused: UnknownTopicIdException", () -> {
            String name = peer.topic("delete-id", 1);
            Uuid id = describe(peer, name).topicId();
            Peer.get(peer.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            awaitGone(peer, name);
            Statements.refused(UnknownTopicIdException.class, () -> Peer.get(peer.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all()));
        });
        Statements.states("a topic created again under its old name has a new id", () -> {
            String name = peer.topic("again", 1);
            Uuid id = describe(peer, name).topicId();
            Peer.get(peer.admin.deleteTopics(List.of(name)).all());
            awaitGone(peer, name);
            peer.create(new NewTopic(name, 1, (short) 1));
            Statements.expect("the same id", false, describe(peer, name).topicId().equals(id));
        });
    }

    private static void grow(Peer peer, String name, NewPartitions to) throws Exception {
        Peer.get(peer.admin.createPartitions(Map.of(name, to)).all());
    }

    private static void growth(Peer peer) {
        Statements.states("partitions can be added, and take records", () -> {
            String name = peer.topic("grow", 1);
            grow(peer, name, NewPartitions.increaseTo(4));
            awaitPartitions(peer, name, 4);
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(name, 3, null, Peer.bytes("v"))).offset());
            Statements.expect("partition", 3, peer.read(name, 4, 1).get(0).partition());
        });
        Statements.states("partitions can be added where one says", () -> {
            String name = peer.topic("grow", 1);
            grow(peer, name, NewPartitions.increaseTo(2, List.of(List.of(nodeId(peer)))));
            awaitPartitions(peer, name, 2);
        });
        Statements.states("no fewer and no equal number of partitions: InvalidPartitionsException", () -> {
            String name = peer.topic("shrink", 3);
            for (int count : new int[] {2, 3, 0, -1}) {
                Statements.refused(InvalidPartitionsException.class, () -> grow(peer, name, NewPartitions.increaseTo(count)));
            }
            Statements.expect("partitions", 3, describe(peer, name).partitions().size());
        });
        Statements.states("adding partitions with an assignment of the wrong length is refused: InvalidReplicaAssignmentException", () -> {
            String name = peer.topic("grow", 1);
            int node = nodeId(peer);
            Statements.refused(InvalidReplicaAssignmentException.class,
                () -> grow(peer, name, NewPartitions.increaseTo(3, List.of(List.of(node)))));
        });
        Statements.states("adding partitions to an unknown topic is refused: UnknownTopicOrPartitionException", () ->
            Statements.refused(UnknownTopicOrPartitionException.class, () -> grow(peer, peer.name("unknown"), NewPartitions.increaseTo(2))));
        Statements.states("validate only: no partition is added", () -> {
            String name = peer.topic("grow", 1);
            Peer.get(peer.admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4)), new CreatePartitionsOptions().validateOnly(true)).all());
            Statements.expect("partitions", 1, describe(peer, name).partitions().size());
        });
    }
}
