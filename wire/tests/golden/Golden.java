// Writes the batches of java.txt with Apache Kafka's own classes, and reads ours back. Needs kafka-clients 4.3.1 and its
// dependencies in libs/:
//   java -cp 'libs/*' Golden.java write > java.txt
//   java -cp 'libs/*' Golden.java read < ours.txt      (tests/golden.rs writes ours.txt into target/tmp)
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.utils.BufferSupplier;

public class Golden {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("write")) write();
        else read(new Scanner(System.in));
    }

    static void write() {
        for (CompressionType type : CompressionType.values()) {
            MemoryRecordsBuilder b = builder(Compression.of(type).build(), TimestampType.CREATE_TIME, false, 42);
            fill(b);
            print(type.name, b.build());
        }
        MemoryRecordsBuilder b = builder(Compression.NONE, TimestampType.CREATE_TIME, true, 42);
        fill(b);
        MemoryRecords transactional = b.build();
        print("transactional", transactional);
        b = builder(Compression.NONE, TimestampType.LOG_APPEND_TIME, false, 42);
        fill(b);
        print("log-append-time", b.build());
        b = builder(Compression.NONE, TimestampType.CREATE_TIME, false, 42);
        fill(b);
        MemoryRecords patched = b.build();
        MutableRecordBatch batch = patched.batches().iterator().next();
        batch.setLastOffset(2_000_004);
        batch.setPartitionLeaderEpoch(9);
        batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, 1_700_000_099_999L);
        print("patched", patched);
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.ABORT, ControlRecordType.COMMIT})
            print(type.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(
                77, 1_700_000_000_000L, 5, 4242L, (short) 3, new EndTransactionMarker(type, 11)));
        print("delete-horizon", filter(transactional, MemoryRecords.RecordFilter.BatchRetention.DELETE_EMPTY, 0));
        print("last-records-lost", filter(transactional, MemoryRecords.RecordFilter.BatchRetention.DELETE_EMPTY, 2));
        print("emptied", filter(transactional, MemoryRecords.RecordFilter.BatchRetention.RETAIN_EMPTY, 5));
    }

    static MemoryRecordsBuilder builder(Compression compression, TimestampType type, boolean transactional, long pid) {
        return MemoryRecords.builder(ByteBuffer.allocate(4096), RecordBatch.MAGIC_VALUE_V2, compression, type, 1_000_000L,
            1_700_000_055_555L, pid, (short) 7, 100, transactional, 5);
    }

    static void fill(MemoryRecordsBuilder b) {
        b.append(1_700_000_000_000L, "key".getBytes(), "value".getBytes());
        b.append(1_700_000_000_500L, null, "no key".getBytes());
        b.append(1_699_999_999_000L, "tombstone".getBytes(), null);
        b.append(1_700_000_000_700L, new byte[0], new byte[0]);
        b.append(1_700_000_001_000L, "long".getBytes(), "abcdefgh".repeat(40).getBytes(), new Header[] {
            new RecordHeader("h", "1".getBytes()), new RecordHeader("h", "2".getBytes()),
            new RecordHeader("", (byte[]) null), new RecordHeader("empty", new byte[0])});
    }

    // Drops the last `lost` records; the tombstone gets its delete horizon.
    static MemoryRecords filter(MemoryRecords records, MemoryRecords.RecordFilter.BatchRetention retention, int lost) {
        ByteBuffer out = ByteBuffer.allocate(4096);
        records.filterTo(new MemoryRecords.RecordFilter(1_800_000_000_000L, 86_400_000L) {
            @Override protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(retention, false);
            }
            @Override protected boolean shouldRetainRecord(RecordBatch batch, org.apache.kafka.common.record.internal.Record record) {
                return record.offset() <= batch.lastOffset() - lost;
            }
        }, out, BufferSupplier.NO_CACHING);
        out.flip();
        return MemoryRecords.readableRecords(out);
    }

    static void print(String name, MemoryRecords records) {
        ByteBuffer buffer = records.buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        System.out.println(name + " " + HexFormat.of().formatHex(bytes));
    }

    static void read(Scanner in) {
        while (in.hasNext()) {
            System.out.println(in.next());
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(in.next())));
            for (MutableRecordBatch b : records.batches()) {
                b.ensureValid();
                System.out.printf("  batch %d..%d epoch=%d %s %s max=%d pid=%d/%d seq=%d..%d tx=%b control=%b horizon=%s count=%d%n",
                    b.baseOffset(), b.lastOffset(), b.partitionLeaderEpoch(), b.compressionType().name, b.timestampType(),
                    b.maxTimestamp(), b.producerId(), b.producerEpoch(), b.baseSequence(), b.lastSequence(), b.isTransactional(),
                    b.isControlBatch(), b.deleteHorizonMs(), b.countOrNull());
                for (org.apache.kafka.common.record.internal.Record r : b) {
                    r.ensureValid();
                    StringBuilder headers = new StringBuilder();
                    for (Header h : r.headers()) headers.append(h.key()).append('=').append(text(h.value())).append(';');
                    System.out.printf("  %d @%d %s: %s %s%n", r.offset(), r.timestamp(), text(bytes(r.key())),
                        text(bytes(r.value())), headers);
                }
            }
        }
    }

    static byte[] bytes(ByteBuffer buffer) {
        if (buffer == null) return null;
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    static String text(byte[] bytes) {
        return bytes == null ? "null" : "'" + new String(bytes).replaceAll("[^ -~]", "?") + "'";
    }
}
