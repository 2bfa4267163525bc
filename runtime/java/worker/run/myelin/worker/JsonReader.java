package run.myelin.worker;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON that the processor wrote: maps, lists, texts, Long, BigInteger, Double, Boolean and null; {"$bytes": base64} is a byte[]. */
final class JsonReader {
    private static final int DEEPEST = 200;

    private final String s;
    private int at;

    private JsonReader(String s) {
        this.s = s;
    }

    static Object read(String text) {
        JsonReader r = new JsonReader(text);
        Object v = r.value(0);
        r.space();
        if (r.at < text.length()) throw r.wrong("more than one value");
        return v;
    }

    private IllegalArgumentException wrong(String what) {
        return new IllegalArgumentException("JSON at character " + at + ": " + what);
    }

    private void space() {
        while (at < s.length() && " \t\r\n".indexOf(s.charAt(at)) >= 0) at++;
    }

    private char peek() {
        space();
        if (at >= s.length()) throw wrong("it ends here");
        return s.charAt(at);
    }

    private boolean take(char c) {
        if (peek() != c) return false;
        at++;
        return true;
    }

    private void expect(char c) {
        if (!take(c)) throw wrong("'" + s.charAt(at) + "' instead of '" + c + "'");
    }

    private Object value(int depth) {
        if (depth > DEEPEST) throw wrong("more than " + DEEPEST + " levels");
        return switch (peek()) {
            case '{' -> map(depth);
            case '[' -> list(depth);
            case '"' -> text();
            case 't' -> word("true", true);
            case 'f' -> word("false", false);
            case 'n' -> word("null", null);
            default -> number();
        };
    }

    private Object word(String word, Object v) {
        if (!s.startsWith(word, at)) throw wrong("no value");
        at += word.length();
        return v;
    }

    private Object map(int depth) {
        Map<String, Object> m = new LinkedHashMap<>();
        expect('{');
        if (take('}')) return m;
        do {
            if (peek() != '"') throw wrong("a name without quotes");
            String key = text();
            expect(':');
            m.put(key, value(depth + 1));
        } while (take(','));
        expect('}');
        return m.size() == 1 && m.get("$bytes") instanceof String b ? Base64.getDecoder().decode(b) : m;
    }

    private List<Object> list(int depth) {
        List<Object> l = new ArrayList<>();
        expect('[');
        if (take(']')) return l;
        do l.add(value(depth + 1)); while (take(','));
        expect(']');
        return l;
    }

    private Object number() {
        int from = at;
        while (at < s.length() && "+-.0123456789eE".indexOf(s.charAt(at)) >= 0) at++;
        String n = s.substring(from, at);
        try {
            if (n.matches("-?[0-9]+")) return n.length() < 19 ? (Object) Long.valueOf(n) : whole(new BigInteger(n));
            return new BigDecimal(n).doubleValue();
        } catch (NumberFormatException e) {
            throw wrong("no value");
        }
    }

    private static Object whole(BigInteger n) {
        return n.bitLength() < 64 ? (Object) n.longValue() : n;
    }

    private String text() {
        StringBuilder out = new StringBuilder();
        for (at++; ; at++) {
            if (at >= s.length()) throw wrong("a text does not end");
            char c = s.charAt(at);
            if (c == '"') break;
            out.append(c == '\\' ? escaped() : c);
        }
        at++;
        return out.toString();
    }

    private char escaped() {
        if (++at >= s.length()) throw wrong("a text does not end");
        char c = s.charAt(at);
        switch (c) {
            case 'n': return '\n';
            case 't': return '\t';
            case 'r': return '\r';
            case 'b': return '\b';
            case 'f': return '\f';
            case 'u':
                if (at + 4 >= s.length()) throw wrong("a text does not end");
                at += 4;
                return (char) Integer.parseInt(s.substring(at - 3, at + 1), 16);
            default: return c;
        }
    }
}
