import java.io.FileOutputStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.IntStream;
import run.myelin.BatchHandler;
import run.myelin.Call;
import run.myelin.Context;
import run.myelin.Event;

/** Writes garbage over its own shared memory now and then. */
public class Hostile implements BatchHandler {
    private static final double HOSTILITY = Double.parseDouble(System.getenv("HOSTILITY"));
    private RandomAccessFile memory;
    private long low, size, cells, cellBytes;

    @Override
    public void init(Context context) throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
            if (!line.contains("/memfd:myelin")) continue;
            String[] ends = line.split(" ")[0].split("-");
            low = Long.parseLong(ends[0], 16);
            size = Long.parseLong(ends[1], 16) - low;
            break;
        }
        memory = new RandomAccessFile("/proc/self/mem", "rw");
        cells = word(104);
        cellBytes = word(96) * word(100);
    }

    private long word(long at) throws Exception {
        memory.seek(low + at);
        return Integer.toUnsignedLong(Integer.reverseBytes(memory.readInt()));
    }

    private static long random(long from, long to) {
        return from + 4 * ThreadLocalRandom.current().nextLong((to - from) / 4);
    }

    /** Over the rings, the flags, the slots and the cells; seldom over the arenas. */
    private void scribble() throws Exception {
        try (FileOutputStream noted = new FileOutputStream(System.getenv("SCRIBBLES"), true)) {
            noted.write('.');
        }
        ThreadLocalRandom r = ThreadLocalRandom.current();
        for (int n = r.nextInt(1, 41); n > 0; n--) {
            long[] at = {0x100, 0x180, 0x204, 0x280, random(0x1000, 0x10000), random(0x1000, 0x200000), random(cells, cells + cellBytes), random(0, size)};
            int[] word = {0, 1 << 24, -1, r.nextInt()};
            memory.seek(low + at[r.nextInt(at.length)]);
            memory.writeInt(word[r.nextInt(word.length)]);
        }
    }

    @Override
    public Object handle(Context context, Event event) throws Exception {
        if (ThreadLocalRandom.current().nextDouble() < HOSTILITY) scribble();
        switch (event.getPath()) {
            case "/echo": return event.getBody();
            case "/view": return event.bodyBuffer();
            case "/call": return context.getPlatform().callFunction("echo", Call.of(event.getBody()).method("POST")).body();
            case "/stream": {
                byte[] body = event.getBody();
                return IntStream.range(0, (body.length + 699) / 700).mapToObj(i -> Arrays.copyOfRange(body, i * 700, Math.min(body.length, i * 700 + 700))).iterator();
            }
            default: return event.getID();
        }
    }

    @Override
    public Object handleBatch(Context context, List<Event> events) throws Exception {
        List<Object> answers = new ArrayList<>();
        for (Event e : events) answers.add(e.getPath().equals("/stream") ? e.getBody() : handle(context, e));
        return answers;
    }
}
