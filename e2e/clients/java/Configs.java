import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Settings of topics and of the broker: described and altered. */
final class Configs {
    private Configs() {}

    static void run(Peer peer) {
        described(peer);
        altered(peer);
        refused(peer);
        broker(peer);
    }

    private static ConfigResource of(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private static Config describe(Peer peer, ConfigResource resource) throws Exception {
        return Peer.get(peer.admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    private static AlterConfigOp op(OpType type, String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    private static void alter(Peer peer, ConfigResource resource, AlterConfigOp... ops) throws Exception {
        Peer.get(peer.admin.incrementalAlterConfigs(Map.of(resource, Arrays.asList(ops))).all());
    }

    private static void expectSet(Peer peer, ConfigResource resource, String name, String value, ConfigSource source) throws Exception {
        // Kafka's broker learns of a change after its controller has answered.
        Peer.eventually(name + " is " + value + " by " + source, () -> {
            ConfigEntry entry = describe(peer, resource).get(name);
            return value.equals(entry.value()) && source == entry.source();
        });
    }

    private static void described(Peer peer) {
        Statements.states("a topic's settings are described with value, source and type", () -> {
            String topic = peer.topic("describe", 1, "retention.ms", "4711");
            Config config = describe(peer, of(topic));
            Map<String, String> defaults = Map.of("cleanup.policy", "delete", "compression.type", "producer", "max.message.bytes", "1048588",
                "message.timestamp.type", "CreateTime", "file.delete.delay.ms", "60000", "segment.bytes", "1073741824", "retention.bytes", "-1",
                "delete.retention.ms", "86400000", "min.cleanable.dirty.ratio", "0.5", "unclean.leader.election.enable", "false");
            defaults.forEach((name, value) -> {
                Statements.expect(name, value, config.get(name).value());
                Statements.expect("source of " + name, ConfigSource.DEFAULT_CONFIG, config.get(name).source());
                Statements.expect("read-only " + name, false, config.get(name).isReadOnly());
                Statements.expect("sensitive " + name, false, config.get(name).isSensitive());
            });
            Statements.expect("retention.ms", "4711", config.get("retention.ms").value());
            Statements.expect("its source", ConfigSource.DYNAMIC_TOPIC_CONFIG, config.get("retention.ms").source());
            Statements.expect("type of retention.ms", ConfigEntry.ConfigType.LONG, config.get("retention.ms").type());
            Statements.expect("type of cleanup.policy", ConfigEntry.ConfigType.LIST, config.get("cleanup.policy").type());
            Statements.expect("type of compression.type", ConfigEntry.ConfigType.STRING, config.get("compression.type").type());
            Statements.expect("type of max.message.bytes", ConfigEntry.ConfigType.INT, config.get("max.message.bytes").type());
            Statements.expect("type of min.cleanable.dirty.ratio", ConfigEntry.ConfigType.DOUBLE, config.get("min.cleanable.dirty.ratio").type());
            Statements.expect("type of preallocate", ConfigEntry.ConfigType.BOOLEAN, config.get("preallocate").type());
        });
        Statements.states("synonyms and documentation come when asked for, and not otherwise", () -> {
            ConfigResource topic = of(peer.topic("synonyms", 1, "max.message.bytes", "4711"));
            ConfigEntry plain = describe(peer, topic).get("max.message.bytes");
            Statements.expect("synonyms unasked", List.of(), plain.synonyms());
            Statements.expect("documentation unasked", null, plain.documentation());
            var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
            ConfigEntry full = Peer.get(peer.admin.describeConfigs(List.of(topic), options).all()).get(topic).get("max.message.bytes");
            Statements.expect("synonyms", List.of("max.message.bytes=4711 DYNAMIC_TOPIC_CONFIG", "message.max.bytes=1048588 DEFAULT_CONFIG"),
                full.synonyms().stream().map(s -> s.name() + "=" + s.value() + " " + s.source()).toList());
            Statements.expect("documentation", true, full.documentation() != null && full.documentation().length() > 20);
        });
        Statements.states("the settings of an unknown topic are refused: UnknownTopicOrPartitionException", () ->
            Statements.refused(UnknownTopicOrPartitionException.class, () -> describe(peer, of(peer.name("unknown")))));
    }

    private static void altered(Peer peer) {
        Statements.states("set and delete of a topic's setting", () -> {
            ConfigResource topic = of(peer.topic("set", 1));
            alter(peer, topic, op(OpType.SET, "retention.ms", "99"), op(OpType.SET, "segment.ms", "98"));
            expectSet(peer, topic, "retention.ms", "99", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            expectSet(peer, topic, "segment.ms", "98", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(peer, topic, op(OpType.DELETE, "retention.ms", null));
            expectSet(peer, topic, "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
            expectSet(peer, topic, "segment.ms", "98", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(peer, topic, op(OpType.DELETE, "retention.ms", null));
        });
        Statements.states("append to and subtract from a list", () -> {
            ConfigResource topic = of(peer.topic("list", 1));
            alter(peer, topic, op(OpType.APPEND, "cleanup.policy", "compact"));
            expectSet(peer, topic, "cleanup.policy", "delete,compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(peer, topic, op(OpType.SUBTRACT, "cleanup.policy", "delete"));
            expectSet(peer, topic, "cleanup.policy", "compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(peer, topic, op(OpType.APPEND, "cleanup.policy", "compact"));
            expectSet(peer, topic, "cleanup.policy", "compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        });
        Statements.states("validate only: nothing changes, and a bad value is refused all the same", () -> {
            ConfigResource topic = of(peer.topic("validate", 1));
            var only = new AlterConfigsOptions().validateOnly(true);
            Peer.get(peer.admin.incrementalAlterConfigs(Map.of(topic, List.of(op(OpType.SET, "retention.ms", "5"))), only).all());
            expectSet(peer, topic, "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
            Statements.refused(InvalidConfigurationException.class,
                () -> Peer.get(peer.admin.incrementalAlterConfigs(Map.of(topic, List.of(op(OpType.SET, "retention.ms", "x"))), only).all()));
        });
        Statements.states("an altered max.message.bytes holds for the next record", () -> {
            String topic = peer.topic("obeyed", 1);
            alter(peer, of(topic), op(OpType.SET, "max.message.bytes", "500"));
            expectSet(peer, of(topic), "max.message.bytes", "500", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            Statements.refused(RecordTooLargeException.class, () -> peer.send(new ProducerRecord<>(topic, Peer.noise(600))));
            alter(peer, of(topic), op(OpType.DELETE, "max.message.bytes", null));
            expectSet(peer, of(topic), "max.message.bytes", "1048588", ConfigSource.DEFAULT_CONFIG);
            Statements.expect("offset", 0L, peer.send(new ProducerRecord<>(topic, Peer.noise(600))).offset());
        });
    }

    private static void refused(Peer peer) {
        String[][] bad = {{"no.such.setting", "1"}, {"retention.ms", "x"}, {"cleanup.policy", "burn"}, {"compression.type", "rar"}};
        for (String[] setting : bad) {
            Statements.states("altering a topic to " + setting[0] + "=" + setting[1] + " is refused: InvalidConfigurationException", () -> {
                ConfigResource topic = of(peer.topic("bad", 1));
                Statements.refused(InvalidConfigurationException.class, () -> alter(peer, topic, op(OpType.SET, setting[0], setting[1])));
            });
        }
        Statements.states("of two alterations of a topic, one of them bad, neither is done", () -> {
            ConfigResource topic = of(peer.topic("bad", 1));
            Statements.refused(InvalidConfigurationException.class,
                () -> alter(peer, topic, op(OpType.SET, "retention.ms", "5"), op(OpType.SET, "segment.ms", "x")));
            expectSet(peer, topic, "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
        });
        Statements.states("appending to what is no list is refused: InvalidConfigurationException", () -> {
            ConfigResource topic = of(peer.topic("bad", 1));
            Statements.refused(InvalidConfigurationException.class, () -> alter(peer, topic, op(OpType.APPEND, "retention.ms", "5")));
        });
        Statements.states("the same setting twice in a request is refused: InvalidRequestException", () -> {
            ConfigResource topic = of(peer.topic("bad", 1));
            Statements.refused(InvalidRequestException.class,
                () -> alter(peer, topic, op(OpType.SET, "retention.ms", "5"), op(OpType.DELETE, "retention.ms", null)));
        });
        Statements.states("altering an unknown topic is refused: UnknownTopicOrPartitionException", () ->
            Statements.refused(UnknownTopicOrPartitionException.class,
                () -> alter(peer, of(peer.name("unknown")), op(OpType.SET, "retention.ms", "5"))));
    }

    private static void broker(Peer peer) {
        Statements.states("the broker's settings are described with value and source", () -> {
            Config config = describe(peer, node(peer));
            Statements.expect("message.max.bytes", "1048588", config.get("message.max.bytes").value());
            Statements.expect("its source", ConfigSource.DEFAULT_CONFIG, config.get("message.max.bytes").source());
            Statements.expect("read-only message.max.bytes", false, config.get("message.max.bytes").isReadOnly());
            Statements.expect("source of num.partitions", ConfigSource.STATIC_BROKER_CONFIG, config.get("num.partitions").source());
            Statements.expect("read-only node.id", true, config.get("node.id").isReadOnly());
            Statements.expect("auto.create.topics.enable", "true", config.get("auto.create.topics.enable").value());
        });
        Statements.states("a broker setting for the whole cluster shows in topics that set none of their own", () -> {
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            ConfigResource topic = of(peer.topic("inherit", 1));
            alter(peer, all, op(OpType.SET, "message.max.bytes", "2000000"));
            try {
                expectSet(peer, topic, "max.message.bytes", "2000000", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
                expectSet(peer, node(peer), "message.max.bytes", "2000000", ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
            } finally {
                alter(peer, all, op(OpType.DELETE, "message.max.bytes", null));
            }
            expectSet(peer, topic, "max.message.bytes", "1048588", ConfigSource.DEFAULT_CONFIG);
        });
        Statements.states("a read-only broker setting is not altered: InvalidRequestException", () -> {
            ConfigResource node = node(peer);
            Statements.refused(InvalidRequestException.class, () -> alter(peer, node, op(OpType.SET, "log.dirs", "/nowhere")));
        });
    }

    private static ConfigResource node(Peer peer) throws Exception {
        return new ConfigResource(ConfigResource.Type.BROKER, Peer.get(peer.admin.describeCluster().nodes()).iterator().next().idString());
    }
}
