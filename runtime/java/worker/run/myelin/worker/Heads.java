package run.myelin.worker;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The heads of responses, and log records, as the format has them. */
final class Heads {
    static final String TEXT = "text/plain";
    static final int DEBUG = -4, INFO = 0, WARN = 4, ERROR = 8;
    private static final byte[] EMPTY = {};
    private static final Map<String, byte[]> BARE = new ConcurrentHashMap<>(Map.of(TEXT, EMPTY));

    private Heads() {}

    static byte[] head(String type, Map<String, ?> headers, List<byte[]> records) {
        if ((headers == null || headers.isEmpty()) && (records == null || records.isEmpty())) {
            byte[] known = BARE.get(type);
            if (known != null) return known;
            byte[] made = pack(type, Map.of(), List.of());
            if (BARE.size() < 64) BARE.put(type, made);
            return made;
        }
        List<byte[]> all = records == null ? List.of() : records;
        synchronized (all) {
            return pack(type, headers == null ? Map.of() : headers, all);
        }
    }

    private static byte[] pack(String type, Map<String, ?> headers, List<byte[]> records) {
        List<byte[]> pairs = new ArrayList<>();
        headers.forEach((key, value) -> {
            for (Object v : value instanceof Iterable<?> many ? many : List.of(value == null ? "" : value)) {
                pairs.add(header(key));
                pairs.add(header(String.valueOf(v)));
            }
        });
        byte[] t = header(type);
        Bytes b = new Bytes(256).u32(t.length).u32(pairs.size() / 2).u32(records.size()).raw(t);
        for (int i = 0; i < pairs.size(); i += 2) b.pair(pairs.get(i), pairs.get(i + 1));
        for (byte[] r : records) b.raw(r);
        return b.done();
    }

    /** The bytes of a header's part: Latin-1 where it can be, else UTF-8. */
    static byte[] header(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '\r' || c == '\n' || c == 0) {
                throw new IllegalArgumentException("a header of a response cannot hold a line break or NUL: " + Json.quote(text));
            }
        }
        return text.getBytes(ISO_8859_1.newEncoder().canEncode(text) ? ISO_8859_1 : UTF_8);
    }

    /** One log record; pairs are names and values in turn. */
    static byte[] record(long millis, int level, String message, List<String> pairs) {
        byte[] text = Bytes.cut(message, Control.MAX_TEXT / 2);
        List<byte[]> kept = new ArrayList<>();
        int room = Control.MAX_TEXT / 2;
        for (int i = 0; i + 1 < pairs.size(); i += 2) {
            byte[] key = Bytes.cut(pairs.get(i), 1024), value = Bytes.cut(pairs.get(i + 1), 8192);
            room -= key.length + value.length + 8;
            if (room < 0) break;
            kept.add(key);
            kept.add(value);
        }
        Bytes b = new Bytes(64 + text.length).i64(millis * 1_000_000).u32(level).u32(text.length).u32(kept.size() / 2).raw(text);
        for (int i = 0; i < kept.size(); i += 2) b.pair(kept.get(i), kept.get(i + 1));
        return b.done();
    }
}
