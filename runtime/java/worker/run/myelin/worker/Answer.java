package run.myelin.worker;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;

/** What goes back to the processor: a head, and a body of bytes or of parts. */
final class Answer {
    static final int FAILED = 2;
    private static final byte[] NOTHING = {};

    final int status, flags;
    final byte[] meta;
    final Object parts;           // a body that is made in parts, or null
    private final byte[] bytes;   // else one of these
    private final ByteBuffer buffer;

    private Answer(int status, int flags, byte[] meta, byte[] bytes, ByteBuffer buffer, Object parts) {
        this.status = status;
        this.flags = flags;
        this.meta = meta;
        this.bytes = bytes;
        this.buffer = buffer;
        this.parts = parts;
    }

    /** An answer with a body that {@link Body} knows. */
    static Answer of(int status, int flags, byte[] meta, Object body) {
        if (body instanceof byte[] b) return new Answer(status, flags, meta, b, null, null);
        if (body instanceof String s) return new Answer(status, flags, meta, s.getBytes(UTF_8), null, null);
        if (body instanceof ByteBuffer b) return new Answer(status, flags, meta, null, b.duplicate(), null);
        return new Answer(status, flags, meta, NOTHING, null, body);
    }

    static Answer failure(int status, String text) {
        return of(status, FAILED, NOTHING, text);
    }

    int length() {
        return buffer != null ? buffer.remaining() : bytes.length;
    }

    /** The offset of the body in the mapping if it is part of what lies there, else -1. */
    int inPlace(int from, int size) {
        if (buffer == null || !buffer.isDirect() || buffer.remaining() == 0) return -1;
        long at = Native.offset(buffer);
        if (at < 0) return -1;
        at += buffer.position();
        return at >= from && at + buffer.remaining() <= (long) from + size ? (int) at : -1;
    }

    /** The body in an array, from {@link #at}. */
    byte[] array() {
        if (buffer == null) return bytes;
        if (buffer.hasArray()) return buffer.array();
        byte[] all = new byte[buffer.remaining()];
        buffer.get(buffer.position(), all);
        return all;
    }

    int at() {
        return buffer != null && buffer.hasArray() ? buffer.arrayOffset() + buffer.position() : 0;
    }

    void copy(ByteBuffer to, int at) {
        if (buffer == null) to.put(at, bytes);
        else to.put(at, buffer, buffer.position(), buffer.remaining());
    }
}
