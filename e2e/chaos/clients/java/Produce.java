import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Produce BOOTSTRAP JOURNAL NAME TOPICS RATE: the Java client's idempotent producer, another one every so often. role.py has the numbers' reasons. */
final class Produce {
    private static final int VALUE_BYTES = 64;
    private static final int VALUE_MORE_BYTES = 512;
    private static final int PENDING_LIMIT = 400;
    private static final int[] DELIVERY_S = {11, 120, 120, 120};
    private static final int REQUEST_S = 10;
    private static final int REOPEN_S = 15;
    private static final int REOPEN_MORE_S = 25;

    private record Partition(String topic, int number) {
        String name() {
            return topic + "-" + number;
        }
    }

    private static volatile boolean leaving;
    private static PrintWriter journal;

    private Produce() {}

    public static void main(String[] arguments) throws Exception {
        Thread end = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (IOException gone) {
                // As good as its end.
            }
            leaving = true;
        });
        end.setDaemon(true);
        end.start();
        journal = new PrintWriter(Files.newBufferedWriter(Path.of(arguments[1]), StandardOpenOption.CREATE, StandardOpenOption.APPEND));
        List<Partition> partitions = new ArrayList<>();
        for (String topic : arguments[3].split(",")) {
            String[] parts = topic.split(":");
            for (int number = 0; number < Integer.parseInt(parts[1]); number++) {
                partitions.add(new Partition(parts[0], number));
            }
        }
        double rate = Double.parseDouble(arguments[4]);
        for (int life = 0; !leaving; life++) {
            live(arguments[0], arguments[2] + "." + life, partitions, rate);
        }
        journal.flush();
    }

    private static void live(String bootstrap, String name, List<Partition> partitions, double rate) throws InterruptedException {
        Random random = new Random();
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", bootstrap, "enable.idempotence", true, "acks", "all", "linger.ms", 5, "request.timeout.ms", REQUEST_S * 1000,
                "delivery.timeout.ms", DELIVERY_S[random.nextInt(DELIVERY_S.length)] * 1000, "max.block.ms", 5000, "metadata.max.age.ms", 5000);
        int[] next = new int[partitions.size()];
        AtomicInteger pending = new AtomicInteger();
        long until = System.nanoTime() + (REOPEN_S * 1_000_000_000L) + (long) (random.nextDouble() * REOPEN_MORE_S * 1e9);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            while (!leaving && System.nanoTime() < until) {
                if (pending.get() < PENDING_LIMIT) {
                    int chosen = random.nextInt(next.length);
                    send(producer, name, partitions.get(chosen), next[chosen]++, pending);
                }
                journal.flush();
                Thread.sleep((long) (1000 / rate));
            }
            producer.close(Duration.ofSeconds(DELIVERY_S[1] + REQUEST_S));
        }
        if (pending.get() > 0) {
            System.err.println(name + ": " + pending + " records have no fate");
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String name, Partition partition, int sequence, AtomicInteger pending) {
        String record = partition.name() + " " + name + " " + sequence;
        write("s " + record);
        pending.incrementAndGet();
        String value = name + " " + partition.name() + " " + sequence + " " + ".".repeat(VALUE_BYTES + sequence * 37 % VALUE_MORE_BYTES);
        try {
            producer.send(new ProducerRecord<>(partition.topic(), partition.number(), name.getBytes(StandardCharsets.UTF_8), value.getBytes(StandardCharsets.UTF_8)),
                    (told, refused) -> {
                        pending.decrementAndGet();
                        if (refused != null) {
                            write("u " + record + " " + now() + " " + refused.getClass().getSimpleName());
                        } else if (told.hasOffset()) {
                            write("a " + record + " " + told.offset() + " " + now());
                        } else {
                            // A duplicate, and where the first one lies is forgotten.
                            write("w " + record + " " + now());
                        }
                    });
        } catch (RuntimeException refusal) {
            // It is told by the callback as well when it came that far; otherwise it was not sent.
            pending.decrementAndGet();
            write("u " + record + " " + now() + " " + refusal.getClass().getSimpleName());
        }
    }

    private static void write(String line) {
        // One write a line, for callbacks come on another thread.
        journal.write(line + "\n");
    }

    /** The machine's monotonic clock, as Python's time.monotonic() has it. */
    private static String now() {
        return String.format("%.6f", System.nanoTime() / 1e9);
    }
}
