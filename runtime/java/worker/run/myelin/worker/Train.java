package run.myelin.worker;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;
import run.myelin.Response;
import run.myelin.StreamBody;

/**
 * A run of the worker without a processor, over memory of its own: the virtual machine then writes an archive of the classes
 * that a worker needs, so that workers start without loading them one by one.
 */
public final class Train implements MyelinHandler {
    private static final int SLOTS = 8, SLOT = 8192, RING = 0x1000, RESPONSES = 0x2000, AT = 0x4000, ARENA = AT + SLOTS * SLOT, ARENA_LENGTH = 64 << 10;

    @Override
    public Object handle(Context context, Event event) {
        context.getLogger().debugWith("event", "path", event.getPath(), "size", event.size());
        context.getLogger().debug("%s", event.getHeaders());
        System.out.print("");
        return switch ((int) event.getOffset()) {
            case 0 -> "ok";
            case 1 -> Map.of("list", List.of(1, true, "text"));
            case 2 -> Response.of(event.bodyBuffer()).header("X-A", "b");
            case 3 -> (StreamBody) out -> out.write(event.getBody());
            default -> throw new IllegalStateException("trained");
        };
    }

    public static void main(String[] args) throws Exception {
        Options options = new Options(args);
        System.load(options.get("native"));
        ByteBuffer mem = ByteBuffer.allocateDirect(ARENA + 2 * ARENA_LENGTH).order(ByteOrder.LITTLE_ENDIAN);
        header(mem);
        byte[] meta = new Bytes(128).i64(1).i64(0).i64(0).u32(0).u32(1).u32(8).u32(0).u32(0).u32(0)
            .u32(4).raw(new byte[36]).raw("POST".getBytes(ISO_8859_1)).pair(new byte[0], new byte[0]).done();
        for (int i = 0; i < 5; i++) request(mem, i, meta);
        mem.putInt(0x280, 2);
        Control control = new Control();
        Log log = new Log(control, Heads.ERROR + 1); // nobody hears it
        log.capture();
        Channel channel = new Channel(mem, control);
        Shared shared = new Shared(log, channel.calls, options);
        Function function = Main.load(control, shared, options);
        new Server(channel, shared, function, null, 0).run();
        if (mem.getInt(RESPONSES) != 1) throw new IllegalStateException("nothing was answered");
        System.exit(0);
    }

    private static void header(ByteBuffer mem) {
        mem.put(0, "MYLSHM1\0".getBytes(ISO_8859_1)).putShort(8, (short) 1).putShort(10, (short) 1).putLong(16, mem.capacity());
        int[] words = {SLOTS, SLOT, RING, RESPONSES, 8 * SLOTS, AT, 64, 4096};
        for (int i = 0; i < words.length; i++) mem.putInt(24 + 4 * i, words[i]);
        mem.putLong(56, ARENA).putLong(64, ARENA_LENGTH).putLong(72, ARENA + ARENA_LENGTH).putLong(80, ARENA_LENGTH).putLong(88, 1 << 20);
    }

    private static void request(ByteBuffer mem, int i, byte[] meta) {
        int at = RING + 64 * i, part = AT + i * SLOT + 64;
        mem.put(part, meta).putLong(part + 8, i);
        mem.putShort(at + 4, (short) 1).putInt(at + 8, i).putInt(at + 12, 1).putLong(at + 16, part).putLong(at + 24, part + meta.length);
        mem.putInt(at + 32, meta.length).putInt(at + 36, 2).putInt(at + 48, i << 2 | 1).putInt(at, i + 1);
    }
}
