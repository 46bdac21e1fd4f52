/** Clients BOOTSTRAP PEER: what kafka-clients expects of Kafka. */
public final class Clients {
    private Clients() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: Clients BOOTSTRAP PEER");
            System.exit(2);
        }
        System.out.println("# kafka-clients " + org.apache.kafka.common.utils.AppInfoParser.getVersion() + " against " + arguments[1]);
        try (Peer peer = new Peer(arguments[0])) {
            Producing.run(peer);
            Consuming.run(peer);
            Offsets.run(peer);
            Topics.run(peer);
            Configs.run(peer);
            Cluster.run(peer);
            Groups.run(peer);
        }
        System.exit(Statements.end());
    }
}
