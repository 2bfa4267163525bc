package run.myelin;

import java.util.LinkedHashMap;
import java.util.Map;

/** An answer whose body is whatever a handler may return. */
public class Response extends io.nuclio.Response {
    private Object content;
    private boolean typed;
    private String eventId;

    /** A response of status 200 with a body. */
    public static Response of(Object body) {
        return new Response().body(body);
    }

    public Response body(Object body) {
        content = body;
        return this;
    }

    /** What {@link #body(Object)} was given, else the bytes of {@link #setBody}. */
    public Object body() {
        return content != null ? content : getBody();
    }

    public Response status(int status) {
        setStatusCode(status);
        return this;
    }

    /** Sets the content type; without it, it follows from the body. */
    public Response type(String contentType) {
        setContentType(contentType);
        return this;
    }

    @Override
    public io.nuclio.Response setContentType(String contentType) {
        typed = true;
        return super.setContentType(contentType);
    }

    /** Tells whether the content type was set. */
    public boolean typed() {
        return typed;
    }

    /** Names the event of a batch that this answers; without it, the order tells. */
    public Response eventId(String id) {
        eventId = id;
        return this;
    }

    public String eventId() {
        return eventId;
    }

    /** Adds a header; the value is a text, a number, or a list of them. */
    public Response header(String name, Object value) {
        Map<String, Object> all = new LinkedHashMap<>(getHeaders());
        all.put(name, value);
        setHeaders(all);
        return this;
    }
}
