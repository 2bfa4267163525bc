package run.myelin.worker;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/**
 * The worker's side of the two rings. Positions and generations are ints that wrap around. Requests are taken by one
 * thread, which is the one that sleeps; any thread answers. Volatile access is sequentially consistent, which is the
 * fence that the sleep flags need.
 */
final class Channel {
    private static final VarHandle WORD = MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final int WORKER_SLEEPS = 0x100, PROCESSOR_SLEEPS = 0x180, BEGUN = 0x204, STOP = 0x280;
    private static final int RETAINED = 4, MORE = 8, RELEASED = 16, PASSED_OVER = 32;
    private static final int QUEUED = 1, CLAIMED = 2, ENTRY = 64, BATCHED = 2, GOES_ON = 16, CALL = 64;
    private static final int PARTS = 4, PART_BYTES = 65536, END_ROOM = 1024;
    private static final Cleaner CLEANER = Cleaner.create();

    /** What part returns instead of a length. */
    static final int BEHIND = -1, UNWANTED = -2;

    final boolean claims; // 1.0 has no claim words, no streams, and retains nothing
    private final ByteBuffer mem;
    private final Control control;
    private final int slots, mask, respMask, slotSize, requests, responses, slotsAt, replyPart, room, lent, lentLength;
    final int arena, arenaLength;
    final long maxBody;

    final ReentrantLock lock = new ReentrantLock();
    final Blocks blocks; // guarded by lock
    final Waiting waiting = new Waiting(this);
    final Calls calls;
    private int reqPos, begun;                // of the thread that takes
    private int respPos, inFlight;            // guarded by lock
    private int pinned, pinnedBytes;          // by views; the same
    private int skip, penalty;                // waits to be slept, now and after the next one in vain; of the taker
    private Thread taker;
    private int unrung;                       // answers of the taker since the processor was last rung

    Channel(ByteBuffer mem, Control control) throws IOException {
        this.mem = mem;
        this.control = control;
        byte[] magic = new byte[8];
        mem.get(0, magic);
        if (!new String(magic, ISO_8859_1).equals("MYLSHM1\0") || mem.getShort(8) != 1) {
            throw new IOException("unknown version of the shared-memory channel");
        }
        claims = mem.getShort(10) >= 1;
        slots = mem.getInt(24);
        mask = slots - 1;
        slotSize = mem.getInt(28);
        requests = mem.getInt(32);
        responses = mem.getInt(36);
        respMask = mem.getInt(40) - 1;
        slotsAt = mem.getInt(44);
        replyPart = mem.getInt(52);
        room = slotSize - replyPart;
        lent = (int) mem.getLong(56);
        lentLength = (int) mem.getLong(64);
        arena = (int) mem.getLong(72);
        arenaLength = (int) mem.getLong(80);
        maxBody = mem.getLong(88);
        blocks = new Blocks(arenaLength, slots, i -> load(line(i)));
        calls = new Calls(this, mem, control);
    }

    int load(int at) {
        return (int) WORD.getVolatile(mem, at);
    }

    void store(int at, int v) {
        WORD.setVolatile(mem, at, v);
    }

    ByteBuffer memory() {
        return mem;
    }

    /** Where the processor's words to the worker about a slot are. */
    private int line(int slot) {
        return slotsAt + slot * slotSize;
    }

    private int reply(int slot) {
        return line(slot) + replyPart;
    }

    boolean stopped() {
        return load(STOP) != 0;
    }

    /** Whether the stop is one of a drain, of which the signal may be on its way still. */
    boolean left() {
        return (load(STOP) & 1) != 0;
    }

    int inFlight() {
        lock.lock();
        try {
            return inFlight;
        } finally {
            lock.unlock();
        }
    }

    // ---- requests

    /** Begins the next request, or batch of them; null if there is none. */
    Request take() throws IOException {
        for (;;) {
            int pos = reqPos, at = entry(pos);
            if (load(at) != pos + 1) return null;
            reqPos = pos + 1;
            int end = pos + 1;
            if (mem.getShort(at + 4) == BATCHED) reqPos = end = endOfBatch(pos);
            if (claim(at + 48, pos, end - pos)) return mem.getShort(at + 4) == BATCHED ? batch(pos, end) : request(at);
            for (int i = pos; i != end; i++) passOver(entry(i));
            rang();
        }
    }

    private int entry(int pos) {
        return requests + (pos & mask) * ENTRY;
    }

    /** The position after a batch; all of it is there. */
    private int endOfBatch(int pos) {
        while ((mem.getShort(entry(pos) + 6) & GOES_ON) != 0) {
            pos++;
            if (load(entry(pos)) != pos + 1) throw new IllegalStateException("a batch has no end");
        }
        return pos + 1;
    }

    private Request batch(int pos, int end) throws IOException {
        List<Request> all = new ArrayList<>();
        for (int i = pos; i != end; i++) all.add(request(entry(i)));
        for (Request r : all) r.batch = all;
        return all.get(0);
    }

    private Request request(int at) throws IOException {
        int flags = mem.getShort(at + 6) & 0xffff, slot = mem.getInt(at + 8), generation = mem.getInt(at + 12);
        int metaLength = mem.getInt(at + 32), size = mem.getInt(at + 36);
        lock.lock();
        inFlight++;
        lock.unlock();
        if ((flags & Request.IN_FILE) != 0) return large(slot, generation, flags, metaLength, size);
        return new Request(this, slot, generation, flags, mem, (int) mem.getLong(at + 16), metaLength, mem, (int) mem.getLong(at + 24), size);
    }

    private void passOver(int at) throws IOException {
        int slot = mem.getInt(at + 8), generation = mem.getInt(at + 12);
        if ((mem.getShort(at + 6) & Request.IN_FILE) != 0) Native.close(control.file(Control.BODY, slot, generation));
        lock.lock();
        try {
            put(slot, generation, 204, PASSED_OVER, 0, 0, 0, 0, 0);
        } finally {
            lock.unlock();
        }
    }

    private Request large(int slot, int generation, int flags, int metaLength, int size) throws IOException {
        int fd = control.file(Control.BODY, slot, generation);
        try {
            byte[] all = new byte[metaLength + size];
            Native.read(fd, 0, all);
            ByteBuffer b = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN);
            return new Request(null, slot, generation, flags, b, 0, metaLength, b, metaLength, size);
        } finally {
            Native.close(fd);
        }
    }

    private boolean claim(int word, int pos, int events) {
        if (claims) return WORD.compareAndSet(mem, word, pos << 2 | QUEUED, pos << 2 | CLAIMED);
        begun += events;
        store(BEGUN, begun);
        return true;
    }

    /** Tells whether there is something for the thread that takes; once the worker is ending, the stop is no news. */
    boolean news(boolean ending) {
        return load(entry(reqPos)) == reqPos + 1 || !ending && stopped();
    }

    /** Waits awake for a request while nothing is in flight, less often if that is in vain, and says whether there is one. */
    boolean spin(long nanos) {
        if (skip > 0) {
            skip--;
            return false;
        }
        if (inFlight() > 0) return false;
        int at = entry(reqPos), want = reqPos + 1;
        for (long until = System.nanoTime() + nanos; System.nanoTime() < until; ) {
            for (int i = 0; i < 64; i++) {
                if (load(at) == want) {
                    penalty = 0;
                    return true;
                }
                Thread.onSpinWait();
            }
        }
        penalty = Math.min(2 * penalty + 1, 255);
        skip = penalty;
        return false;
    }

    /** Sleeps until the processor rings, unless there is news: then it returns true at once. */
    boolean sleep(BooleanSupplier news) {
        store(WORKER_SLEEPS, 1);
        VarHandle.fullFence();
        boolean there = news.getAsBoolean();
        if (!there) Native.await();
        store(WORKER_SLEEPS, 0);
        return there;
    }

    // ---- views

    /** Shows the body of a request in place; null if it has to be copied. */
    ByteBuffer view(Request r) {
        lock.lock();
        try {
            if (r.view != null) return r.view.memory;
            int at = r.bodyOffset();
            boolean lends = at >= lent && at < lent + lentLength;
            int bytes = lends ? Arena.MIN_BLOCK << Arena.order(r.size) : 0;
            if (r.answered || !claims || pinned >= slots / 2 || pinnedBytes + bytes > lentLength / 2) return null;
            pinned++;
            pinnedBytes += bytes;
            r.view = new View(Native.view(at, r.size), bytes);
            return r.view.memory;
        } finally {
            lock.unlock();
        }
    }

    /** The flag of an answer whose request is looked at in place; when nobody does any more, it is released. */
    private int retain(Request r) {
        if (r.view == null) return 0;
        int slot = r.slot, generation = r.generation, bytes = r.view.bytes;
        CLEANER.register(r.view.memory, () -> release(slot, generation, bytes));
        return RETAINED;
    }

    void release(int slot, int generation, int bytes) {
        lock.lock();
        try {
            pinned--;
            pinnedBytes -= bytes;
            put(slot, generation, 204, RELEASED, 0, 0, 0, 0, 0);
        } finally {
            lock.unlock();
        }
        rang();
    }

    // ---- answers

    /** Answers a request. */
    void respond(Request r, Answer a) throws IOException {
        lock.lock();
        try {
            if (r.sent > 0) finish(r, a);
            else whole(r, a);
        } finally {
            lock.unlock();
        }
        rang();
    }

    private void whole(Request r, Answer a) throws IOException {
        byte[] meta = a.meta;
        long nanos = System.nanoTime() - r.begun, total = (long) meta.length + a.length();
        if (total > maxBody) {
            whole(r, Answer.failure(500, "response of " + total + " bytes is above the limit of " + maxBody));
            return;
        }
        int slot = r.slot, at = reply(slot), length = a.length(), flags = a.flags;
        blocks.drop(slot);
        int inPlace = r.view != null && meta.length <= room ? a.inPlace(r.bodyOffset(), r.size) : -1;
        if (inPlace >= 0) { // part of the request itself: it is not copied
            settle(r);
            mem.put(at, meta);
            put(slot, r.generation, a.status, flags | retain(r), at, meta.length, inPlace, length, nanos);
            return;
        }
        if (total > room) {
            int block = total > arenaLength / 4 ? -1 : blocks.take(slot, r.generation, (int) total);
            if (block < 0) {
                byte[] body = a.array();
                control.sendFile(Control.BODY, slot, r.generation, meta, body, a.at(), length);
                settle(r);
                put(slot, r.generation, a.status, flags | Request.IN_FILE | retain(r), 0, meta.length, meta.length, length, nanos);
                return;
            }
            at = arena + block;
        }
        settle(r);
        mem.put(at, meta);
        a.copy(mem, at + meta.length);
        put(slot, r.generation, a.status, flags | retain(r), at, meta.length, at + meta.length, length, nanos);
    }

    /** Ends a stream. Parts may still be unread: their memory is left alone. */
    private void finish(Request r, Answer a) {
        int off = reply(r.slot) + room - END_ROOM, length = Math.min(a.length(), END_ROOM - 24);
        settle(r);
        if (length > 0) mem.put(off, a.array(), a.at(), length);
        put(r.slot, r.generation, a.status, a.flags | retain(r), off, 0, off, length, System.nanoTime() - r.begun);
    }

    private void settle(Request r) {
        inFlight--;
        r.keep();
    }

    /** Sends a part of a stream, the first with the head of the response, and returns how much of the data it took. */
    int part(Request r, int status, byte[] meta, byte[] data, int from, int length) {
        lock.lock();
        try {
            int slot = r.slot, taken = load(line(slot) + 4);
            if (r.sent == 0) blocks.drop(slot);
            blocks.dropParts(slot, taken - r.freed);
            r.freed = taken;
            if (load(line(slot) + 8) == r.generation) return UNWANTED;
            if (r.sent - taken >= PARTS) return BEHIND;
            int n = Math.min(length, PART_BYTES), block = blocks.takePart(slot, r.generation, meta.length + n), off = arena + block;
            if (block < 0) {
                if (r.sent != taken) return BEHIND;
                if (meta.length > room - END_ROOM) throw new IllegalStateException("no room for the headers of a stream");
                n = Math.min(n, room - END_ROOM - meta.length);
                off = reply(slot);
                blocks.partInSlot(slot, r.generation);
            }
            mem.put(off, meta);
            mem.put(off + meta.length, data, from, n);
            r.sent++;
            put(slot, r.generation, status, MORE, off, meta.length, off + meta.length, n, 0);
            return n;
        } finally {
            lock.unlock();
            rang();
        }
    }

    /** Tells whether the reader of a stream has got on since part said that it is behind, or has gone. */
    boolean moved(Request r) {
        return load(line(r.slot) + 4) != r.freed || load(line(r.slot) + 8) == r.generation;
    }

    /** Publishes a call; lock is held. */
    void putCall(int cell, int generation, int kind, boolean inFile, int off, byte[] meta, byte[] body, long nanos, Request owner) {
        int at = responses + (respPos & respMask) * ENTRY;
        mem.putInt(at + 52, owner == null ? 0 : owner.slot + 1);
        mem.putInt(at + 56, owner == null ? 0 : owner.generation);
        if (!inFile) mem.put(off, meta).put(off + meta.length, body);
        put(cell, generation, kind, inFile ? CALL | Request.IN_FILE : CALL, off, meta.length, off + meta.length, body.length, nanos);
    }

    /** Publishes an entry; lock is held. */
    private void put(int slot, int generation, int status, int flags, int meta, int metaLength, int body, int bodyLength, long nanos) {
        int at = responses + (respPos & respMask) * ENTRY;
        mem.putShort(at + 4, (short) status);
        mem.putShort(at + 6, (short) flags);
        mem.putInt(at + 8, slot);
        mem.putInt(at + 12, generation);
        mem.putLong(at + 16, meta);
        mem.putLong(at + 24, body);
        mem.putInt(at + 32, metaLength);
        mem.putInt(at + 36, bodyLength);
        mem.putLong(at + 40, nanos);
        store(at, ++respPos);
    }

    // ---- bells

    /** From now on answers of this thread wake the processor together, when ring is called. */
    void taking() {
        taker = Thread.currentThread();
    }

    int unrung() {
        return unrung;
    }

    private void rang() {
        if (Thread.currentThread() == taker) unrung++;
        else bell();
    }

    /** Wakes the processor for what the taker has answered. */
    void ring() {
        if (unrung == 0 || Thread.currentThread() != taker) return;
        unrung = 0;
        bell();
    }

    void bell() {
        VarHandle.fullFence();
        if (load(PROCESSOR_SLEEPS) == 0) return;
        int which = (int) WORD.getAndSet(mem, PROCESSOR_SLEEPS, 0);
        if (which != 0) Native.ring(which == 2);
    }
}
