package run.myelin.worker;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Iterator;
import java.util.stream.BaseStream;
import run.myelin.StreamBody;

/** Sends an answer in parts, as its source gives them, and no faster than it is read. */
final class Parts extends OutputStream {
    private static final byte[] NOTHING = {};
    private static final int TOGETHER = 64 << 10;

    /** Says that nobody reads any more. */
    static final class Gone extends IOException {
        private static final long serialVersionUID = 1;

        Gone() {
            super("the reader of the stream has gone");
        }
    }

    private final Channel channel;
    private final Waiting waiting;
    private final Request request;
    private final Answer answer;
    private byte[] meta;
    private byte[] buffer;
    private int buffered;
    private boolean begun, gone;

    Parts(Channel channel, Waiting waiting, Request request, Answer answer) {
        this.channel = channel;
        this.waiting = waiting;
        this.request = request;
        this.answer = answer;
        this.meta = answer.meta;
    }

    /** Sends a part, in as many pieces as are needed, and waits while the reader is behind. */
    void push(byte[] data, int at, int n) throws IOException {
        while (n > 0 || !begun) {
            int took = gone ? Channel.UNWANTED : channel.part(request, answer.status, meta, data, at, n);
            if (took == Channel.UNWANTED) {
                gone = true;
                throw new Gone();
            }
            if (took == Channel.BEHIND) {
                waiting.await(() -> channel.moved(request));
                continue;
            }
            meta = NOTHING;
            begun = true;
            at += took;
            n -= took;
        }
    }

    void push(Object part) throws IOException {
        byte[] data = Body.bytes(part);
        push(data, 0, data.length);
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] from, int at, int n) throws IOException {
        if (buffer == null) buffer = new byte[TOGETHER];
        while (n > 0) {
            int m = Math.min(n, TOGETHER - buffered);
            System.arraycopy(from, at, buffer, buffered, m);
            buffered += m;
            at += m;
            n -= m;
            if (buffered == TOGETHER) send();
        }
    }

    private void send() throws IOException {
        int n = buffered;
        buffered = 0;
        push(buffer == null ? NOTHING : buffer, 0, n);
    }

    @Override
    public void flush() throws IOException {
        if (buffered > 0 || !begun) send();
    }

    /** Sends all of a source that is read or run in this thread. */
    void run(Object source) throws Exception {
        if (source instanceof StreamBody body) {
            body.writeTo(this);
            if (buffered > 0) send();
        } else if (source instanceof InputStream in) {
            try (in) {
                byte[] space = new byte[TOGETHER];
                for (int n; (n = in.read(space)) >= 0; ) push(space, 0, n);
            }
        } else if (source instanceof BaseStream<?, ?> s) {
            try (s) {
                each(s.iterator());
            }
        } else {
            Iterator<?> i = (Iterator<?>) source;
            try {
                each(i);
            } finally {
                if (i instanceof AutoCloseable c) c.close();
            }
        }
    }

    private void each(Iterator<?> parts) throws IOException {
        while (parts.hasNext()) push(parts.next());
    }

    /** The end of an answer that went well, or whose reader has gone. */
    Answer end() {
        return Answer.of(answer.status, 0, begun ? NOTHING : meta, "");
    }

    /** The end of one that failed. */
    Answer failed(Throwable t) {
        return begun ? Answer.failure(500, Body.message(t)) : Body.failed(t, request.records());
    }
}
