// Writes the messages of messages.txt with Apache Kafka's own classes. Needs kafka-clients 4.4.0 and its dependencies in libs/:
//   java -cp 'libs/*' Messages.java > messages.txt
//
// Each line starts with the api key and `request` or `response`, except those of headers:
//   header KEY VERSION REQUEST_HEADER RESPONSE_HEADER   client id "c", correlation id 7
//   KEY KIND default OUTCOMES                           a new message, in all versions
//   KEY KIND fill VERSION BYTES                         all fields of the version filled, or any of them
//   KEY KIND only VERSION BYTES OUTCOMES                one field set, in a version that has it, and in all versions
// OUTCOMES is `FIRST-LAST=BYTES,...`; where Kafka refuses to write the version because it lacks a field, BYTES is `!`; where
// its own default is a null that it cannot write, `?`.
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.CompactArrayOf;
import org.apache.kafka.common.protocol.types.NullableSchema;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class Messages {
    static final int UNKNOWN_TAG = 300;

    public static void main(String[] args) throws Exception {
        for (ApiMessageType api : ApiMessageType.values()) {
            short last = api.highestSupportedVersion(false);
            short first = api.lowestSupportedVersion();
            if (last < first) continue;
            for (short v = first; v <= last; v++) header(api, v);
            kind(api, true, api.requestSchemas(), first, last);
            kind(api, false, api.responseSchemas(), first, last);
        }
    }

    static void header(ApiMessageType api, short version) {
        ApiKeys key = ApiKeys.forId(api.apiKey());
        short headerVersion = api.requestHeaderVersion(version);
        var request = new RequestHeaderData()
            .setRequestApiKey(key.id).setRequestApiVersion(version).setClientId("c").setCorrelationId(7);
        var response = new ResponseHeaderData().setCorrelationId(7);
        System.out.println("header " + key.id + " " + version + " " + hex(write(request, headerVersion)) + " "
            + hex(write(response, api.responseHeaderVersion(version))));
    }

    static void kind(ApiMessageType api, boolean isRequest, Schema[] schemas, short first, short last) throws Exception {
        String start = api.apiKey() + (isRequest ? " request " : " response ");
        System.out.println(start + "default " + outcomes(message(api, isRequest), first, last));
        for (short v = first; v <= last; v++) {
            Set<String> seen = new HashSet<>();
            for (int seed = 0; seed < 6; seed++) {
                // The schema's bytes are read and written by the message's own class: its bytes count.
                byte[] bytes = new Fill(seed, api.apiKey() * 31 + v).bytes(schemas[v]);
                ApiMessage message = message(api, isRequest);
                ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
                message.read(readable, v);
                if (readable.remaining() != 0) throw new IllegalStateException(start + v);
                String written = hex(write(message, v));
                if (seen.add(written)) System.out.println(start + "fill " + v + " " + written);
            }
        }
        List<String> lines = new ArrayList<>();
        ApiMessage root = message(api, isRequest);
        only(start, root, root, api, isRequest, first, last, lines, 0);
        new LinkedHashSet<>(lines).forEach(System.out::println);
    }

    static ApiMessage message(ApiMessageType api, boolean isRequest) {
        return isRequest ? api.newRequest() : api.newResponse();
    }

    static byte[] write(Message message, short version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    static String hex(byte[] bytes) {
        return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
    }

    static String outcome(Message message, short version) {
        try {
            return hex(write(message, version));
        } catch (UnsupportedVersionException e) {
            return "!";
        } catch (NullPointerException e) {
            return "?";
        }
    }

    static String outcomes(Message message, short first, short last) {
        StringBuilder all = new StringBuilder();
        for (short v = first; v <= last; ) {
            String outcome = outcome(message, v);
            short end = v;
            while (end < last && outcome(message, (short) (end + 1)).equals(outcome)) end++;
            all.append(all.isEmpty() ? "" : ",").append(v).append("-").append(end).append("=").append(outcome);
            v = (short) (end + 1);
        }
        return all.toString();
    }

    /** Sets one field of `at` after the other, also inside structures, and prints what comes of it in each version. */
    static void only(String start, ApiMessage root, Message at, ApiMessageType api, boolean isRequest, short first, short last,
                     List<String> lines, int depth) throws Exception {
        for (Field field : at.getClass().getDeclaredFields()) {
            if (Modifier.isStatic(field.getModifiers()) || field.getName().equals("_unknownTaggedFields")) continue;
            // Links of collections.
            if (field.getName().equals("next") || field.getName().equals("prev")) continue;
            field.setAccessible(true);
            Object before = field.get(at);
            Message inner = set(field, at);
            line(start, root, api, isRequest, first, last, lines);
            if (inner != null && depth < 6) only(start, root, inner, api, isRequest, first, last, lines, depth + 1);
            field.set(at, before);
        }
    }

    static void line(String start, ApiMessage root, ApiMessageType api, boolean isRequest, short first, short last,
                     List<String> lines) {
        boolean everywhere = true;
        short source = -1;
        for (short v = first; v <= last; v++) {
            boolean holds = false;
            try {
                byte[] bytes = write(root, v);
                ApiMessage read = message(api, isRequest);
                read.read(new ByteBufferAccessor(ByteBuffer.wrap(bytes)), v);
                holds = read.equals(root);
            } catch (UnsupportedVersionException | NullPointerException e) {
                // This version lacks it, or Kafka's default is a null that cannot be written.
            }
            if (holds) source = v;
            everywhere &= holds;
        }
        // What every version has is in the fills.
        if (source < 0 || everywhere) return;
        lines.add(start + "only " + source + " " + hex(write(root, source)) + " " + outcomes(root, first, last));
    }

    /** Gives the field another value than its default; returns the structure in it, if it has one. */
    static Message set(Field field, Object at) throws Exception {
        Class<?> type = field.getType();
        Object before = field.get(at);
        if (type == boolean.class) field.set(at, !(boolean) before);
        else if (type == byte.class) field.set(at, (byte) 5);
        else if (type == short.class) field.set(at, (short) 5);
        else if (type == int.class) field.set(at, 5);
        else if (type == long.class) field.set(at, 5L);
        else if (type == double.class) field.set(at, 5.0);
        else if (type == String.class) field.set(at, "s");
        else if (type == Uuid.class) field.set(at, new Uuid(5, 6));
        else if (type == byte[].class) field.set(at, new byte[] {5});
        else if (type == ByteBuffer.class) field.set(at, ByteBuffer.wrap(new byte[] {5}));
        else if (type == BaseRecords.class) field.set(at, MemoryRecords.readableRecords(ByteBuffer.wrap(new byte[] {5})));
        else if (type == List.class) {
            Object value = item(((ParameterizedType) field.getGenericType()).getActualTypeArguments()[0]);
            field.set(at, new ArrayList<>(List.of(value)));
            return value instanceof Message ? (Message) value : null;
        } else if (Collection.class.isAssignableFrom(type)) {
            Object value = item(((ParameterizedType) type.getGenericSuperclass()).getActualTypeArguments()[0]);
            @SuppressWarnings("unchecked")
            Collection<Object> collection = (Collection<Object>) type.getConstructor().newInstance();
            collection.add(value);
            field.set(at, collection);
            return (Message) value;
        } else if (Message.class.isAssignableFrom(type)) {
            Message value = (Message) type.getConstructor().newInstance();
            field.set(at, value);
            return value;
        } else throw new IllegalStateException(field.toString());
        return null;
    }

    static Object item(java.lang.reflect.Type type) throws Exception {
        if (type == Integer.class) return 5;
        if (type == Short.class) return (short) 5;
        if (type == Byte.class) return (byte) 5;
        if (type == Long.class) return 5L;
        if (type == String.class) return "s";
        if (type == Uuid.class) return new Uuid(5, 6);
        return ((Class<?>) type).getConstructor().newInstance();
    }

    /** Bytes for a schema. Seed 0 fills everything; others leave out, take nulls and the ends of ranges. */
    static class Fill {
        final boolean isFull;
        final Random random;
        int counter = 1;

        Fill(int seed, int salt) {
            isFull = seed == 0;
            random = new Random(seed * 1_000_003L + salt);
        }

        byte[] bytes(Type type) throws Exception {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            put(type, new DataOutputStream(bytes), 0);
            return bytes.toByteArray();
        }

        boolean isNull() {
            return !isFull && random.nextInt(2) == 0;
        }

        void put(Type type, DataOutputStream out, int depth) throws Exception {
            if (type instanceof NullableSchema) {
                boolean isNull = isNull();
                out.writeByte(isNull ? -1 : 1);
                if (isNull) return;
            }
            if (type instanceof Schema schema) {
                for (BoundField field : schema.fields()) put(field.def.type, out, depth);
            } else if (type instanceof TaggedFields tagged) {
                TreeMap<Integer, byte[]> fields = new TreeMap<>();
                for (var entry : tagged.fields().entrySet()) {
                    if (!isNull()) fields.put(entry.getKey(), bytes(entry.getValue().type));
                }
                if (isFull && depth < 2) fields.put(UNKNOWN_TAG, new byte[] {(byte) counter++});
                varint(fields.size(), out);
                for (var entry : fields.entrySet()) {
                    varint(entry.getKey(), out);
                    varint(entry.getValue().length, out);
                    out.write(entry.getValue());
                }
            } else if (type.isArray()) {
                boolean isCompact = type instanceof CompactArrayOf;
                boolean isNull = type.isNullable() && isNull();
                int count = isNull ? -1 : isFull ? (depth == 0 ? 2 : 1) : random.nextInt(depth == 0 ? 3 : 2);
                if (isCompact) varint(count + 1, out);
                else out.writeInt(count);
                for (int i = 0; i < count; i++) put(type.arrayElementType().get(), out, depth + 1);
            } else {
                primitive(type.toString(), out);
            }
        }

        void primitive(String name, DataOutputStream out) throws Exception {
            boolean isNull = name.contains("NULLABLE") && isNull();
            boolean isCompact = name.startsWith("COMPACT_");
            switch (name.replace("COMPACT_", "").replace("NULLABLE_", "")) {
                case "BOOLEAN" -> out.writeByte(isFull ? 1 : random.nextInt(2));
                case "INT8" -> out.writeByte((int) number(Byte.MIN_VALUE, Byte.MAX_VALUE));
                case "INT16" -> out.writeShort((int) number(Short.MIN_VALUE, Short.MAX_VALUE));
                case "UINT16" -> out.writeShort((int) number(0, 0xffff));
                case "INT32" -> out.writeInt((int) number(Integer.MIN_VALUE, Integer.MAX_VALUE));
                case "INT64" -> out.writeLong(number(Long.MIN_VALUE, Long.MAX_VALUE));
                case "FLOAT64" -> out.writeDouble(counter++ + 0.5);
                case "UUID" -> {
                    out.writeLong(number(0, Long.MAX_VALUE));
                    out.writeLong(number(0, Long.MAX_VALUE));
                }
                case "STRING" -> {
                    byte[] text = (isFull ? "s" + counter++ : "\u00fc".repeat(random.nextInt(2))).getBytes(StandardCharsets.UTF_8);
                    if (isCompact) varint(isNull ? 0 : text.length + 1, out);
                    else out.writeShort(isNull ? -1 : text.length);
                    if (!isNull) out.write(text);
                }
                case "BYTES", "RECORDS" -> {
                    byte[] bytes = new byte[isFull ? 2 : random.nextInt(2)];
                    Arrays.fill(bytes, (byte) counter++);
                    if (isCompact) varint(isNull ? 0 : bytes.length + 1, out);
                    else out.writeInt(isNull ? -1 : bytes.length);
                    if (!isNull) out.write(bytes);
                }
                default -> throw new IllegalStateException(name);
            }
        }

        long number(long least, long greatest) {
            if (isFull) return counter++ % 100 + 1;
            return switch (random.nextInt(6)) {
                case 0 -> least;
                case 1 -> greatest;
                case 2 -> least == 0 ? 0 : -1;
                default -> counter++ % 100;
            };
        }

        static void varint(int value, DataOutputStream out) throws Exception {
            for (; (value & ~0x7f) != 0; value >>>= 7) out.writeByte(value & 0x7f | 0x80);
            out.writeByte(value);
        }
    }
}
