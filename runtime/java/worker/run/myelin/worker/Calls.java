package run.myelin.worker;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import run.myelin.AckError;
import run.myelin.Answer;
import run.myelin.BindingError;
import run.myelin.CallError;
import run.myelin.Offset;

/**
 * Calls to the processor: each takes a cell of the mapping until its answer was read. What finds no free cell waits for
 * one.
 */
final class Calls {
    private static final int FUNCTION = 1, SETTLE = 2, BINDING = 3, LINE = 64;
    private static final int IN_FILE = 1, FAILED = 2;

    /** One call on its way. */
    private final class Asked {
        final int kind;
        final String name;
        final long nanos;
        final Request owner; // the event that it is for; null if for none
        byte[] meta, body;
        final CompletableFuture<Answer> answer; // null: its thread waits
        volatile int cell = -1, generation;
        volatile IOException lost; // it could not be passed on
        Blocks.Block block;

        Asked(int kind, String name, long nanos, Request owner, byte[] meta, byte[] body, CompletableFuture<Answer> answer) {
            this.owner = owner;
            this.kind = kind;
            this.name = name;
            this.nanos = nanos;
            this.meta = meta;
            this.body = body;
            this.answer = answer;
        }

        boolean answered() {
            int g = generation;
            return lost != null || cell >= 0 && channel.load(line(cell)) == g;
        }
    }

    private final Channel channel;
    private final Control control;
    private final Waiting waiting;
    private final int cells, cellSize, at;
    private final int[] generations;
    private final ArrayDeque<Integer> free = new ArrayDeque<>();      // guarded by channel.lock, as all of these
    private final ArrayDeque<Asked> queue = new ArrayDeque<>();
    private final List<Asked> later = new ArrayList<>();              // those that no thread waits for
    private boolean settling;                                         // the thread that does is there

    Calls(Channel channel, ByteBuffer mem, Control control) {
        this.channel = channel;
        this.control = control;
        waiting = channel.waiting;
        boolean there = (mem.getInt(12) & 1) != 0;
        cells = there ? mem.getInt(96) : 0;
        cellSize = there ? mem.getInt(100) : 0;
        at = there ? mem.getInt(104) : 0;
        generations = new int[cells];
        for (int i = 0; i < cells; i++) free.add(i);
    }

    private int line(int cell) {
        return at + cell * cellSize;
    }

    /** Calls a function and waits. */
    Answer call(String name, run.myelin.Call c, Request current) {
        Asked asked = begin(FUNCTION, name, c, current, null);
        waiting.await(asked::answered);
        return fetch(asked);
    }

    /** Ends an event that was left open. */
    void settle(String verb, Offset o, String reason) {
        if (cells == 0) throw new AckError("events cannot be acknowledged here: no processor runs this function", 502);
        run.myelin.Call c = run.myelin.Call.of(reason == null ? "" : reason).method(verb).path(o.topic())
            .header("shard", Integer.toString(o.shard())).header("offset", Long.toString(o.offset()));
        Asked asked = begin(SETTLE, o.trigger(), c, null, null);
        waiting.await(asked::answered);
        try {
            fetch(asked);
        } catch (CallError e) {
            throw new AckError(e.getMessage(), e.status());
        }
    }

    /** Calls a function; the answer is waited for in a thread for all such calls. */
    CompletableFuture<Answer> callLater(String name, run.myelin.Call c, Request current) {
        CompletableFuture<Answer> answer = new CompletableFuture<>();
        begin(FUNCTION, name, c, current, answer);
        return answer;
    }

    private Asked begin(int kind, String name, run.myelin.Call c, Request current, CompletableFuture<Answer> answer) {
        if (cells == 0) throw new CallError("functions cannot be called here: no processor runs this one", name, 502);
        Object content = Body.plain(c.body());
        byte[] body = Body.bytes(content);
        String type = c.type();
        if (type.isEmpty() && body.length > 0) type = content == c.body() ? Heads.TEXT : Body.JSON;
        return begin(new Asked(kind, name, c.timeout() == null ? 0 : c.timeout().toNanos(), null, meta(name, c, type, current), body, answer));
    }

    /** Asks for something of a binding and waits; a call that failed is an answer too. */
    Answer bind(String name, byte[] meta, byte[] body, Duration timeout, Request owner) {
        Asked asked = begin(bound(name, meta, body, timeout, owner, null));
        waiting.await(asked::answered);
        try {
            return fetch(asked);
        } catch (CallError e) {
            return Bindings.failed(e);
        }
    }

    /** Does the same without waiting. */
    CompletableFuture<Answer> bindLater(String name, byte[] meta, byte[] body, Duration timeout, Request owner) {
        CompletableFuture<Answer> answer = new CompletableFuture<>();
        begin(bound(name, meta, body, timeout, owner, answer));
        return answer.exceptionally(t -> {
            if (t instanceof CallError e) return Bindings.failed(e);
            throw new CompletionException(t);
        });
    }

    private Asked bound(String name, byte[] meta, byte[] body, Duration timeout, Request owner, CompletableFuture<Answer> answer) {
        if (cells == 0) throw new BindingError("there are no bindings here: no processor runs this function", name, 502);
        return new Asked(BINDING, name, timeout == null ? 0 : timeout.toNanos(), owner, meta, body, answer);
    }

    private Asked begin(Asked asked) {
        byte[] meta = asked.meta, body = asked.body;
        CompletableFuture<Answer> answer = asked.answer;
        if ((long) meta.length + body.length > channel.maxBody) {
            throw new IllegalArgumentException("call of " + (meta.length + body.length) + " bytes is above the limit of " + channel.maxBody);
        }
        channel.lock.lock();
        try {
            if (answer != null) {
                later.add(asked);
                startSettling();
            }
            Integer cell = free.poll();
            if (cell == null) queue.add(asked);
            else ask(asked, cell);
        } finally {
            channel.lock.unlock();
        }
        channel.bell();
        return asked;
    }

    static byte[] meta(String name, run.myelin.Call c, String type, Request current) {
        Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        headers.putAll(c.headers());
        if (current != null && current.batch == null) { // a batch is no event
            for (String key : List.of("traceparent", "tracestate")) {
                String value = current.header(key);
                if (value != null) headers.putIfAbsent(key, value);
            }
            String id = current.getID();
            if (!id.isEmpty()) headers.putIfAbsent("X-Request-Id", id);
        }
        byte[][] strings = {name.getBytes(UTF_8), c.method().getBytes(UTF_8), c.path().getBytes(UTF_8), type.getBytes(UTF_8)};
        Bytes b = new Bytes(256);
        for (byte[] s : strings) b.u32(s.length);
        b.u32(headers.size()).u32(0);
        for (byte[] s : strings) b.raw(s);
        headers.forEach((k, v) -> b.pair(Heads.header(k), Heads.header(String.valueOf(v))));
        return b.done();
    }

    /** Publishes a call in a cell; the lock is held. */
    private void ask(Asked asked, int cell) {
        int generation = generations[cell] + 1;
        if (generation == 0) generation = 1;
        generations[cell] = generation;
        int total = asked.meta.length + asked.body.length, off = line(cell) + LINE;
        boolean inFile = false;
        if (total > cellSize - LINE) {
            asked.block = total > channel.arenaLength / 4 ? null : channel.blocks.borrow(total);
            inFile = asked.block == null;
            off = inFile ? 0 : channel.arena + asked.block.offset();
        }
        if (inFile) {
            try {
                control.sendFile(Control.CALL, cell, generation, asked.meta, asked.body, 0, asked.body.length);
            } catch (IOException e) {
                free.add(cell);
                asked.lost = e;
                return;
            }
        }
        channel.putCall(cell, generation, asked.kind, inFile, off, asked.meta, asked.body, asked.nanos, asked.owner);
        asked.generation = generation;
        asked.meta = asked.body = null;
        asked.cell = cell;
    }

    /** Reads an answer that is there and gives its cell away. */
    private Answer fetch(Asked asked) {
        if (asked.lost != null) throw new CallError("call cannot be passed on: " + asked.lost.getMessage(), asked.name, 502);
        try {
            return readAnswer(asked.name, asked.cell, asked.generation);
        } catch (IOException e) {
            throw new CallError("answer cannot be read: " + e.getMessage(), asked.name, 502);
        } finally {
            give(asked);
        }
    }

    Answer readAnswer(String name, int cell, int generation) throws IOException {
        int line = line(cell);
        ByteBuffer mem = channel.memory();
        int status = mem.getShort(line + 8) & 0xffff, flags = mem.getShort(line + 10) & 0xffff;
        byte[] meta = new byte[mem.getInt(line + 32)], body = new byte[mem.getInt(line + 36)];
        if ((flags & IN_FILE) != 0) {
            int fd = control.file(Control.CALL, cell, generation);
            try {
                Native.read(fd, mem.getLong(line + 16), meta);
                Native.read(fd, mem.getLong(line + 24), body);
            } finally {
                Native.close(fd);
            }
        } else {
            mem.get((int) mem.getLong(line + 16), meta);
            mem.get((int) mem.getLong(line + 24), body);
        }
        if ((flags & FAILED) != 0) throw new CallError(new String(body, UTF_8), name, status);
        return unpack(status, meta, body);
    }

    private void give(Asked asked) {
        channel.lock.lock();
        try {
            if (asked.block != null) channel.blocks.giveBack(asked.block);
            channel.store(line(asked.cell) + 4, asked.generation);
            Asked next = queue.poll();
            if (next == null) {
                free.add(asked.cell);
                return;
            }
            ask(next, asked.cell);
        } finally {
            channel.lock.unlock();
        }
        channel.bell();
    }

    static Answer unpack(int status, byte[] meta, byte[] body) {
        if (meta.length == 0) return new Answer(status, Heads.TEXT, Map.of(), body);
        ByteBuffer m = ByteBuffer.wrap(meta).order(ByteOrder.LITTLE_ENDIAN);
        int type = m.getInt(0), at = 12 + type;
        Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        for (int n = m.getInt(4); n > 0; n--) {
            int k = m.getInt(at), v = m.getInt(at + 4);
            headers.put(new String(meta, at + 8, k, ISO_8859_1), new String(meta, at + 8 + k, v, ISO_8859_1));
            at += 8 + k + v;
        }
        return new Answer(status, new String(meta, 12, type, ISO_8859_1), headers, body);
    }

    // ---- calls that no thread waits for

    private void startSettling() {
        if (settling) return;
        settling = true;
        Thread t = new Thread(this::settle, "myelin-calls");
        t.setDaemon(true);
        t.start();
    }

    /** Completes such calls as they are answered, until there are none. */
    private void settle() {
        for (;;) {
            waiting.await(this::news);
            List<Asked> done = new ArrayList<>();
            channel.lock.lock();
            try {
                later.removeIf(a -> a.answered() && done.add(a));
                if (done.isEmpty() && later.isEmpty()) {
                    settling = false;
                    return;
                }
            } finally {
                channel.lock.unlock();
            }
            for (Asked a : done) complete(a);
        }
    }

    private void complete(Asked a) {
        Answer answer;
        try {
            answer = fetch(a);
        } catch (Throwable t) {
            a.answer.completeExceptionally(t);
            return;
        }
        a.answer.complete(answer);
    }

    private boolean news() {
        channel.lock.lock();
        try {
            if (later.isEmpty()) return true;
            for (Asked a : later) if (a.answered()) return true;
            return false;
        } finally {
            channel.lock.unlock();
        }
    }
}
