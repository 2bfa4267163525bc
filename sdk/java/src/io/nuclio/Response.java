package io.nuclio;

import java.nio.charset.StandardCharsets;
import java.util.Map;

/** An answer; unless it is told otherwise, 200 and text/plain without a body. */
public class Response {
    private static final byte[] NOTHING = {};

    private byte[] body = NOTHING;
    private long statusCode = 200;
    private String contentType = "text/plain";
    private Map<String, Object> headers = Map.of();

    public Response setBody(byte[] body) {
        this.body = body;
        return this;
    }

    /** Sets the body to a text, in UTF-8. */
    public Response setBody(String body) {
        return setBody(body.getBytes(StandardCharsets.UTF_8));
    }

    public byte[] getBody() {
        return body;
    }

    public Response setStatusCode(long statusCode) {
        this.statusCode = statusCode;
        return this;
    }

    public long getStatusCode() {
        return statusCode;
    }

    /** Sets the headers; the values are texts, numbers or lists of them. */
    public Response setHeaders(Map<String, Object> headers) {
        this.headers = headers;
        return this;
    }

    public Map<String, Object> getHeaders() {
        return headers;
    }

    public Response setContentType(String contentType) {
        this.contentType = contentType;
        return this;
    }

    public String getContentType() {
        return contentType;
    }
}
