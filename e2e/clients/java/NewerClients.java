/** NewerClients BOOTSTRAP PEER: what kafka-clients expects of Kafka with group.protocol=consumer. */
public final class NewerClients {
    private NewerClients() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: NewerClients BOOTSTRAP PEER");
            System.exit(2);
        }
        System.out.println("# kafka-clients " + org.apache.kafka.common.utils.AppInfoParser.getVersion() + ", group.protocol=consumer, against " + arguments[1]);
        try (Peer peer = new Peer(arguments[0])) {
            NewerMembers.run(peer);
            NewerGroups.run(peer);
        }
        System.exit(Statements.end());
    }
}
