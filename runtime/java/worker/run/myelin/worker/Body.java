package run.myelin.worker;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.stream.BaseStream;
import run.myelin.HttpError;
import run.myelin.Response;
import run.myelin.StreamBody;

/** What handlers give or throw, as an answer. */
final class Body {
    static final String JSON = "application/json";
    private static final Answer EMPTY = Answer.of(200, 0, Heads.head(Heads.TEXT, null, null), "");

    private Body() {}

    /** Turns what a handler gave into an answer; throws if it can be none. */
    static Answer answer(Object value, List<byte[]> records) {
        if (records == null && value == null) return EMPTY;
        if (value instanceof io.nuclio.Response r) return response(r, records);
        Object body = plain(value);
        return Answer.of(200, 0, Heads.head(body == value || value == null || value instanceof CharSequence ? Heads.TEXT : JSON, null, records), body);
    }

    private static Answer response(io.nuclio.Response r, List<byte[]> records) {
        Object given = r instanceof Response own ? own.body() : r.getBody();
        if (given instanceof io.nuclio.Response) throw new IllegalArgumentException("the body of a response cannot be another response");
        Object body = plain(given);
        boolean json = body != given && given != null && !(given instanceof CharSequence);
        String type = r.getContentType();
        if (type == null || r instanceof Response own && !own.typed()) type = json ? JSON : Heads.TEXT;
        Map<String, Object> headers = r.getHeaders();
        return Answer.of(status(r.getStatusCode()), 0, Heads.head(type, headers, records), body);
    }

    /** The value itself if it is bytes, text or parts; else its JSON. */
    static Object plain(Object v) {
        if (v == null) return "";
        if (v instanceof String || v instanceof byte[] || v instanceof ByteBuffer || parts(v)) return v;
        if (v instanceof CharSequence) return v.toString();
        if (Json.takes(v)) return Json.write(v);
        throw new IllegalArgumentException("a handler cannot give a " + v.getClass().getName()
            + ": give a String, byte[], ByteBuffer, Response, a stream, or a value for JSON");
    }

    private static boolean parts(Object v) {
        return v instanceof StreamBody || v instanceof InputStream || v instanceof Iterator || v instanceof BaseStream || v instanceof Flow.Publisher;
    }

    /** The bytes of one part of a stream. */
    static byte[] bytes(Object part) {
        if (part instanceof byte[] b) return b;
        if (part instanceof CharSequence s) return s.toString().getBytes(UTF_8);
        if (part instanceof ByteBuffer b) {
            byte[] all = new byte[b.remaining()];
            b.duplicate().get(all);
            return all;
        }
        throw new IllegalArgumentException("a stream gave " + (part == null ? "null" : "a " + part.getClass().getName()) + ", which is neither text nor bytes");
    }

    private static int status(long status) {
        if (status < 100 || status > 599) throw new IllegalArgumentException("status must be from 100 to 599, not " + status);
        return (int) status;
    }

    /** Turns what a handler threw into an answer. */
    static Answer failed(Throwable t, List<byte[]> records) {
        int status = t instanceof HttpError e ? e.status() : 500;
        return Answer.of(status, Answer.FAILED, records == null ? new byte[0] : Heads.head(Heads.TEXT, null, records), message(t));
    }

    static String message(Throwable t) {
        return t instanceof HttpError ? String.valueOf(t.getMessage()) : "Exception in handler: " + describe(t);
    }

    /** What a throwable says of itself; its own methods may throw too. */
    static String describe(Throwable t) {
        try {
            return t.toString();
        } catch (Throwable own) {
            return t.getClass().getName();
        }
    }

    /** The cause of a failure that only says that something else failed. */
    static Throwable cause(Throwable t) {
        while ((t instanceof CompletionException || t instanceof ExecutionException) && t.getCause() != null) t = t.getCause();
        return t;
    }
}
