package run.myelin;

import java.nio.charset.StandardCharsets;
import java.util.Map;

/** What another function answered. */
public final class Answer {
    private final int status;
    private final String type;
    private final Map<String, String> headers;
    private final byte[] body;

    public Answer(int status, String type, Map<String, String> headers, byte[] body) {
        this.status = status;
        this.type = type;
        this.headers = headers;
        this.body = body;
    }

    public int status() {
        return status;
    }

    public String type() {
        return type;
    }

    /** A header's value, whatever the case of its name; null if there is none. */
    public String header(String name) {
        return headers.get(name);
    }

    public Map<String, String> headers() {
        return headers;
    }

    public byte[] body() {
        return body;
    }

    /** The body as text in UTF-8. */
    public String text() {
        return new String(body, StandardCharsets.UTF_8);
    }
}
