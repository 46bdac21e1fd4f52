import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.AppInfoParser;

/** FileConnectors BOOTSTRAP PEER FOLDER: what Connect, standalone with a file source and a file sink, expects of Kafka. */
final class FileConnectors {
    private static final int PATIENCE_S = 120;
    private static final String RUN = "connect-" + Long.toString(System.nanoTime(), 36);
    private static Path folder;
    private static String bootstrap;

    private FileConnectors() {}

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        folder = Files.createDirectories(Path.of(arguments[2]).resolve(RUN));
        System.out.println("# Connect " + AppInfoParser.getVersion() + " against " + arguments[1]);
        Path input = folder.resolve("input.txt");
        Path output = folder.resolve("output.txt");
        List<String> lines = new ArrayList<>();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(RUN, 1, (short) 1))).all().get(PATIENCE_S, TimeUnit.SECONDS);
            Process worker = started(input, output);
            try {
                Process first = worker;
                Statements.states("a file's lines go through the topic into another file, in order", () -> {
                    append(input, lines, 500);
                    eventually("the lines arrive", first, () -> lines.equals(read(output)));
                });
                Statements.states("lines that are added while it runs follow", () -> {
                    append(input, lines, 100);
                    eventually("the lines arrive", first, () -> lines.equals(read(output)));
                });
                Statements.states("the sink is a consumer group, and commits what it wrote", () ->
                    eventually("it is committed", first, () -> committed(admin) == lines.size()));
            } finally {
                worker.destroy();
                Statements.states("it ends politely", () -> Statements.expect("ended within 60 s", true, worker.waitFor(60, TimeUnit.SECONDS)));
                worker.destroyForcibly();
            }
            Process again = started(input, output);
            try {
                Statements.states("started again, source and sink go on where they were: nothing is read or written twice", () -> {
                    append(input, lines, 50);
                    eventually("the lines arrive", again, () -> lines.equals(read(output)));
                });
            } finally {
                again.destroy();
                again.waitFor(60, TimeUnit.SECONDS);
                again.destroyForcibly();
            }
        }
        System.exit(Statements.end());
    }

    /** A worker of its own process, as bin/connect-standalone.sh starts it. */
    private static Process started(Path input, Path output) throws IOException {
        Path worker = folder.resolve("worker.properties");
        Files.writeString(worker, String.join("\n", "bootstrap.servers=" + bootstrap, "key.converter=org.apache.kafka.connect.storage.StringConverter",
            "value.converter=org.apache.kafka.connect.storage.StringConverter", "offset.storage.file.filename=" + folder.resolve("offsets"),
            "offset.flush.interval.ms=500", "listeners=http://127.0.0.1:0", "plugin.discovery=service_load", ""));
        Path source = folder.resolve("source.properties");
        Files.writeString(source, String.join("\n", "name=" + RUN + "-source", "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max=1",
            "file=" + input, "topic=" + RUN, ""));
        Path sink = folder.resolve("sink.properties");
        Files.writeString(sink, String.join("\n", "name=" + RUN + "-sink", "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max=1",
            "file=" + output, "topics=" + RUN, "consumer.override.heartbeat.interval.ms=500", ""));
        return new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.configurationFile=" + System.getProperty("log4j2.configurationFile"), "-cp", System.getProperty("java.class.path"),
            "org.apache.kafka.connect.cli.ConnectStandalone", worker.toString(), source.toString(), sink.toString())
            .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(folder.resolve("worker.log").toFile())).start();
    }

    private static void append(Path file, List<String> lines, int count) throws IOException {
        List<String> more = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            more.add("line " + (lines.size() + i));
        }
        lines.addAll(more);
        Files.write(file, more, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    private static List<String> read(Path file) {
        try {
            return Files.exists(file) ? Files.readAllLines(file) : List.of();
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
    }

    private static long committed(Admin admin) {
        try {
            var offsets = admin.listConsumerGroupOffsets("connect-" + RUN + "-sink").partitionsToOffsetAndMetadata().get(PATIENCE_S, TimeUnit.SECONDS);
            var kept = offsets.get(new TopicPartition(RUN, 0));
            return kept == null ? -1 : kept.offset();
        } catch (Exception why) {
            throw new AssertionError(why);
        }
    }

    private static void eventually(String what, Process worker, BooleanSupplier condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!condition.getAsBoolean()) {
            if (!worker.isAlive()) {
                List<String> log = read(folder.resolve("worker.log"));
                throw new AssertionError("the worker ended: " + log.subList(Math.max(0, log.size() - 3), log.size()));
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + PATIENCE_S + " s: " + what);
            }
            Thread.sleep(50);
        }
    }
}
