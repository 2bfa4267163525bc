package run.myelin;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** What another function is called with: the event that it gets. */
public final class Call {
    private final Object body;
    private final Map<String, String> headers = new LinkedHashMap<>();
    private String method = "", path = "", type = "";
    private Duration timeout;

    private Call(Object body) {
        this.body = body;
    }

    /** A call with a body: a String, byte[], ByteBuffer, a value for JSON, or null. */
    public static Call of(Object body) {
        return new Call(body);
    }

    /** Sets the method; without it, GET without and POST with a body. */
    public Call method(String method) {
        this.method = method;
        return this;
    }

    /** Sets the path, which may have a query; without it, "/". */
    public Call path(String path) {
        this.path = path;
        return this;
    }

    /** Sets the content type; without it, it follows from the body. */
    public Call type(String contentType) {
        type = contentType;
        return this;
    }

    public Call header(String name, String value) {
        headers.put(name, value);
        return this;
    }

    /** Sets the time after which the call is given up. */
    public Call timeout(Duration timeout) {
        if (timeout.isZero() || timeout.isNegative()) throw new IllegalArgumentException("timeout must be above 0, not " + timeout);
        this.timeout = timeout;
        return this;
    }

    public Object body() {
        return body;
    }

    public String method() {
        return method;
    }

    public String path() {
        return path;
    }

    public String type() {
        return type;
    }

    public Map<String, String> headers() {
        return headers;
    }

    /** The time after which the call is given up; null: the processor decides. */
    public Duration timeout() {
        return timeout;
    }
}
