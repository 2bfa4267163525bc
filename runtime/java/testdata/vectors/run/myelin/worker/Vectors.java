package run.myelin.worker;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * Puts the published vectors of what the processor writes, one a line in hexadecimal, into a mapping, and prints what the
 * worker reads there; and prints what the worker writes, to be compared with the vectors.
 */
public final class Vectors {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        System.load(args[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        byte[] header = HEX.parseHex(in.readLine()), request = HEX.parseHex(in.readLine()), batch = HEX.parseHex(in.readLine());
        byte[] meta = HEX.parseHex(in.readLine()), cell = HEX.parseHex(in.readLine()), callMeta = HEX.parseHex(in.readLine());
        ByteBuffer mem = ByteBuffer.allocateDirect(35 << 20).order(ByteOrder.LITTLE_ENDIAN);
        mem.put(0, header).putInt(12, 1);
        Channel channel = new Channel(mem, new Control());

        // The entries: an event alone, and a batch of two.
        int ring = mem.getInt(32);
        mem.put(ring, request).put(ring + 64, batch);
        mem.put(0x10040, meta).put(0x100d0, "body".getBytes());
        mem.put(0x12040, meta).put(0x120d0, "two1".getBytes()).put(0xe040, meta).put(0xe0d0, "three".getBytes());
        Request r = channel.take();
        print("entry", r.slot, r.generation, r.flags, r.text(), mem.getInt(ring + 48));
        Request e = alone(meta, r.flags);
        print("event", e.getTimestamp().toInstant(), e.getOffset(), e.getShardID(), e.getTotalNumShards(), e.getMethod(), e.getPath(), e.getURL(),
            e.getContentType(), e.getID(), new String(e.getKey()), e.getTopic(), e.getKindName(), e.getTriggerName(), e.getClassName(), e.getHeaders(), e.getFields());
        Request logged = alone(meta, Request.LOGS);
        print("level", logged.wantsLogs(Heads.INFO), logged.wantsLogs(Heads.WARN));
        Request b = channel.take();
        print("batch", b.batch.size(), b.batch.get(0).slot, b.batch.get(0).text(), b.batch.get(1).slot, b.batch.get(1).generation, b.batch.get(1).text());
        print("none", channel.take() == null);

        // What the worker writes.
        byte[] record = Heads.record(1_700_000_000_000L, Heads.WARN, "msg", List.of("k", "v"));
        print("response", HEX.formatHex(Heads.head("text/plain", Map.of("X-A", "1"), List.of(record))));
        int responses = mem.getInt(36);
        byte[] data = "part".getBytes();
        channel.part(r, 200, new byte[0], data, 0, data.length);
        print("part", HEX.formatHex(bytes(mem, responses, 64)));
        channel.respond(r, Answer.of(200, 0, new byte[0], ""));
        print("end", HEX.formatHex(bytes(mem, responses + 64, 64)));
        channel.release(7, 9, 0);
        print("release", HEX.formatHex(bytes(mem, responses + 128, 64)));

        // A call: its metadata, its entry, and the line that answers it.
        run.myelin.Call call = run.myelin.Call.of("hi").method("POST").path("/a").header("X-A", "1");
        byte[] asked = Calls.meta("greeter", call, "text/plain", null);
        print("call", HEX.formatHex(asked));
        Channel second = new Channel(mem, new Control());
        int at = mem.getInt(104) + 3 * mem.getInt(100);
        second.lock.lock();
        second.putCall(3, 5, 1, false, at + 64, asked, "hi".getBytes(), 1_000_000_000L, null);
        second.lock.unlock();
        print("ask", HEX.formatHex(bytes(mem, responses, 64)));
        mem.put(at, cell);
        ByteBuffer line = ByteBuffer.wrap(cell).order(ByteOrder.LITTLE_ENDIAN);
        mem.put((int) line.getLong(16), new Bytes(32).u32(10).u32(0).u32(0).raw("text/plain".getBytes()).done()).put((int) line.getLong(24), "ok".getBytes());
        run.myelin.Answer answer = second.calls.readAnswer("greeter", 3, 5);
        print("answer", answer.status(), answer.type(), answer.headers(), answer.text(), mem.getInt(at), callMeta.length);
        System.exit(0);
    }

    private static Request alone(byte[] meta, int flags) {
        return new Request(null, 0, 1, flags, ByteBuffer.wrap(meta).order(ByteOrder.LITTLE_ENDIAN), 0, meta.length, ByteBuffer.allocate(0), 0, 0);
    }

    private static byte[] bytes(ByteBuffer from, int at, int n) {
        byte[] out = new byte[n];
        from.get(at, out);
        return out;
    }

    private static void print(String name, Object... values) {
        StringBuilder line = new StringBuilder(name);
        for (Object v : values) line.append(' ').append(v);
        System.out.println(line);
    }
}
