import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclOperation;

/** The cluster, its disks and its producers. */
final class Cluster {
    private Cluster() {}

    static void run(Peer peer) {
        Statements.states("the cluster is described: its id, its nodes and a controller among them", () -> {
            var cluster = peer.admin.describeCluster();
            Statements.expect("cluster id", true, Peer.get(cluster.clusterId()).length() == 22);
            List<Node> nodes = List.copyOf(Peer.get(cluster.nodes()));
            Statements.expect("nodes", 1, nodes.size());
            Statements.expect("address", peer.bootstrap, nodes.get(0).host() + ":" + nodes.get(0).port());
            Statements.expect("controller", nodes.get(0).id(), Peer.get(cluster.controller()).id());
            Statements.expect("operations unasked", null, Peer.get(cluster.authorizedOperations()));
        });
        Statements.states("without an authorizer every operation on the cluster is allowed, when asked", () -> {
            Set<AclOperation> allowed =
                Peer.get(peer.admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true)).authorizedOperations());
            Statements.expect("operations", true, allowed.containsAll(Set.of(AclOperation.CREATE, AclOperation.ALTER, AclOperation.DESCRIBE)));
        });
        Statements.states("log dirs: a topic's size is at least what was sent, and the disk's size is known", () -> {
            String topic = peer.topic("size", 1);
            peer.send(new ProducerRecord<>(topic, Peer.noise(300_000)));
            Node node = Peer.get(peer.admin.describeCluster().nodes()).iterator().next();
            var dirs = Peer.get(peer.admin.describeLogDirs(List.of(node.id())).allDescriptions()).get(node.id());
            Statements.expect("dirs", 1, dirs.size());
            LogDirDescription dir = dirs.values().iterator().next();
            Statements.expect("error", null, dir.error());
            Statements.expect("total", true, dir.totalBytes().isPresent() && dir.totalBytes().getAsLong() > 0);
            Statements.expect("usable", true, dir.usableBytes().isPresent() && dir.usableBytes().getAsLong() > 0);
            var replica = dir.replicaInfos().get(new TopicPartition(topic, 0));
            Statements.expect("size", true, replica.size() >= 300_000 && replica.size() < 400_000);
            Statements.expect("lag", 0L, replica.offsetLag());
            Statements.expect("future", false, replica.isFuture());
        });
        Statements.states("compressible records take less room than they are long", () -> {
            String topic = peer.topic("size", 1);
            peer.send(new ProducerRecord<>(topic, Peer.zeros(900_000)), "compression.type", "gzip");
            Node node = Peer.get(peer.admin.describeCluster().nodes()).iterator().next();
            LogDirDescription dir = Peer.get(peer.admin.describeLogDirs(List.of(node.id())).allDescriptions()).get(node.id()).values().iterator().next();
            Statements.expect("size", true, dir.replicaInfos().get(new TopicPartition(topic, 0)).size() < 100_000);
        });
        Statements.states("an idempotent producer is described: its id, epoch 0 and last sequence; others are not", () -> {
            String topic = peer.topic("producers", 2);
            TopicPartition partition = new TopicPartition(topic, 0);
            peer.send(new ProducerRecord<>(topic, 1, null, Peer.bytes("v")), "enable.idempotence", false);
            try (KafkaProducer<byte[], byte[]> producer = peer.producer()) {
                for (ProducerRecord<byte[], byte[]> record : Peer.numbered(topic, 10)) {
                    Peer.get(producer.send(record));
                }
                List<ProducerState> active = producers(peer, partition);
                Statements.expect("producers", 1, active.size());
                ProducerState state = active.get(0);
                Statements.expect("id", true, state.producerId() >= 0);
                Statements.expect("epoch", 0, state.producerEpoch());
                Statements.expect("last sequence", 9, state.lastSequence());
                Statements.expect("in a transaction", false, state.currentTransactionStartOffset().isPresent());
                Statements.expect("producers without idempotence", List.of(), producers(peer, new TopicPartition(topic, 1)));
            }
        });
    }

    private static List<ProducerState> producers(Peer peer, TopicPartition partition) throws Exception {
        return Peer.get(peer.admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers();
    }
}
