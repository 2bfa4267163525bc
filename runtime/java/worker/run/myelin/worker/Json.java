package run.myelin.worker;

import java.lang.reflect.Array;
import java.lang.reflect.Method;
import java.lang.reflect.RecordComponent;
import java.util.Map;

/** Writes values as JSON: maps, lists, arrays, records, texts, numbers, booleans, enumerations and null. */
final class Json {
    private static final int DEEPEST = 200;

    private Json() {}

    /** Tells whether a value is written as JSON when a handler returns it. */
    static boolean takes(Object v) {
        return v instanceof Map || v instanceof Iterable || v instanceof Number || v instanceof Boolean || v instanceof Record || v.getClass().isArray();
    }

    static String write(Object v) {
        StringBuilder out = new StringBuilder();
        value(out, v, 0);
        return out.toString();
    }

    static String quote(String s) {
        StringBuilder out = new StringBuilder();
        text(out, s);
        return out.toString();
    }

    private static void value(StringBuilder out, Object v, int depth) {
        if (depth > DEEPEST) throw new IllegalArgumentException("a value for JSON is more than " + DEEPEST + " levels deep, or holds itself");
        if (v == null || v instanceof Boolean) out.append(v);
        else if (v instanceof Double || v instanceof Float) out.append(Double.isFinite(((Number) v).doubleValue()) ? v.toString() : "null");
        else if (v instanceof Number) out.append(v);
        else if (v instanceof CharSequence || v instanceof Character || v instanceof Enum<?>) text(out, v.toString());
        else if (v instanceof Map<?, ?> m) map(out, m, depth);
        else if (v instanceof Iterable<?> i) list(out, i, depth);
        else if (v instanceof Record r) record(out, r, depth);
        else if (v.getClass().isArray()) array(out, v, depth);
        else throw new IllegalArgumentException("a " + v.getClass().getName() + " cannot be written as JSON");
    }

    private static void map(StringBuilder out, Map<?, ?> m, int depth) {
        char before = '{';
        for (Map.Entry<?, ?> e : m.entrySet()) {
            out.append(before);
            text(out, String.valueOf(e.getKey()));
            out.append(':');
            value(out, e.getValue(), depth + 1);
            before = ',';
        }
        out.append(before == '{' ? "{}" : "}");
    }

    private static void list(StringBuilder out, Iterable<?> items, int depth) {
        char before = '[';
        for (Object item : items) {
            value(out.append(before), item, depth + 1);
            before = ',';
        }
        out.append(before == '[' ? "[]" : "]");
    }

    private static void array(StringBuilder out, Object array, int depth) {
        out.append('[');
        for (int i = 0; i < Array.getLength(array); i++) value(i == 0 ? out : out.append(','), Array.get(array, i), depth + 1);
        out.append(']');
    }

    private static void record(StringBuilder out, Record r, int depth) {
        char before = '{';
        for (RecordComponent c : r.getClass().getRecordComponents()) {
            out.append(before);
            text(out, c.getName());
            value(out.append(':'), component(r, c), depth + 1);
            before = ',';
        }
        out.append(before == '{' ? "{}" : "}");
    }

    private static Object component(Record r, RecordComponent c) {
        try {
            Method get = c.getAccessor();
            get.setAccessible(true);
            return get.invoke(r);
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("record component " + c.getName() + " cannot be read", e);
        }
    }

    private static void text(StringBuilder out, String s) {
        out.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c < ' ' || c == '\u2028' || c == '\u2029') out.append(String.format("\\u%04x", (int) c));
                    else out.append(c);
                }
            }
        }
        out.append('"');
    }
}
