package run.myelin.worker;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;

/** The control socket: one message at a time, whole. Any thread may use it. */
final class Control {
    static final int HELLO = 1, READY = 2, FAIL = 3, LOG = 4, BODY = 5, CALL = 6, BELL = 7;
    static final int MAX_TEXT = 48 << 10;

    private final byte[] data = new byte[65536];
    private final int[] files = new int[17];
    private int second = -1; // the processor's second eventfd
    private final Map<Key, Integer> early = new HashMap<>(); // files that nobody asked for yet

    private record Key(int kind, int index, int generation) {}

    /** Waits for the greeting and maps the memory that comes with it. */
    ByteBuffer hello() throws IOException {
        int n = Native.receive(data, files);
        ByteBuffer b = message(n);
        if (n < 24 || data[0] != HELLO || b.getShort(2) != 1 || files[0] != 3) {
            throw new IOException("the worker does not know this version of the channel");
        }
        long size = b.getLong(8);
        if (size > Integer.MAX_VALUE) throw new IOException("a channel of " + size + " bytes is more than Java can map: choose a smaller arena");
        int mapping = files[1], wake = files[2], bell = files[3];
        if ((data[1] & 1) != 0) {
            if (Native.receive(data, files) < 1 || data[0] != BELL || files[0] != 1) throw new IOException("the processor has gone");
            second = files[1];
        }
        return Native.map(mapping, size, wake, bell, second).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Whether the processor has two bells, and says which one it hears. */
    boolean bells() {
        return second >= 0;
    }

    private ByteBuffer message(int n) {
        return ByteBuffer.wrap(data, 0, Math.max(n, 0)).order(ByteOrder.LITTLE_ENDIAN);
    }

    void say(int kind, int flags, String text) throws IOException {
        Native.send(new Bytes(64).u8(kind).u8(flags).u8(0).u8(0).raw(Bytes.cut(text, MAX_TEXT)).done());
    }

    void log(String event, byte[] record) throws IOException {
        byte[] id = event.getBytes(UTF_8);
        Native.send(new Bytes(8 + id.length + record.length).u32(LOG).u32(id.length).raw(id).raw(record).done());
    }

    /** The file that came for a slot or a cell; it was sent before it is asked for. */
    synchronized int file(int kind, int index, int generation) throws IOException {
        Key key = new Key(kind, index, generation);
        while (!early.containsKey(key)) {
            int n = Native.receive(data, files);
            if (n == 0) throw new IOException("the processor has gone");
            ByteBuffer b = message(n);
            if (n >= 12 && (data[0] == BODY || data[0] == CALL) && files[0] == 1) early.put(new Key(data[0], b.getInt(4), b.getInt(8)), files[1]);
        }
        return early.remove(key);
    }

    /** Passes metadata and part of a body to the processor, in a file for the entry that follows. */
    void sendFile(int kind, int index, int generation, byte[] meta, byte[] body, int at, int length) throws IOException {
        byte[] head = new Bytes(24).u32(kind).u32(index).u32(generation).u32(0).i64((long) meta.length + length).done();
        Native.sendFile(head, meta, body, at, length);
    }
}
