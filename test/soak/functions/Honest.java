import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import run.myelin.BatchHandler;
import run.myelin.Call;
import run.myelin.Context;
import run.myelin.Event;

/** Notes in a file that outlives this process that an event runs, then answers as its path says. */
public class Honest implements BatchHandler {
    private static final int PART = 700;
    private MappedByteBuffer ledger;

    @Override
    public void init(Context context) throws Exception {
        try (FileChannel f = FileChannel.open(Path.of(System.getenv("LEDGER")), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ledger = f.map(FileChannel.MapMode.READ_WRITE, 0, f.size());
        }
    }

    void note(Event event) {
        int n = Integer.parseInt(event.getID());
        ledger.put(n, (byte) (ledger.get(n) + 1));
    }

    static Call called(Event event) {
        return Call.of(event.getBody()).method("POST").path("/called").type("text/x-soak");
    }

    Object one(Context context, Event event) {
        note(event);
        switch (event.getPath()) {
            case "/echo": return event.getBody();
            case "/view": return event.bodyBuffer();
            case "/raise": throw new IllegalArgumentException(event.getID());
            case "/die": Runtime.getRuntime().halt(3);
            case "/call": return context.getPlatform().callFunction("echo", called(event)).body();
            case "/stream": {
                byte[] body = event.getBody();
                int size = Math.max(PART, body.length / 20);
                return IntStream.range(0, (body.length + size - 1) / size)
                    .mapToObj(i -> Arrays.copyOfRange(body, i * size, Math.min(body.length, (i + 1) * size))).iterator();
            }
            default: {
                CRC32 crc = new CRC32();
                crc.update(event.getBody());
                return event.getID() + " " + crc.getValue();
            }
        }
    }

    @Override
    public Object handle(Context context, Event event) throws Exception {
        return one(context, event);
    }

    @Override
    public Object handleBatch(Context context, List<Event> events) throws Exception {
        List<Object> answers = new ArrayList<>();
        for (Event e : events) {
            try {
                boolean streams = e.getPath().equals("/stream");
                if (streams) note(e);
                answers.add(streams ? e.getBody() : one(context, e));
            } catch (IllegalArgumentException failed) { // its event alone
                answers.add(failed);
            }
        }
        return answers;
    }

    /** Answers in other threads. */
    public static class Later extends Honest {
        @Override
        public CompletableFuture<Object> handle(Context context, Event event) {
            if (event.getPath().equals("/call")) {
                note(event);
                return context.getPlatform().callFunctionAsync("echo", called(event)).thenApply(a -> a.body());
            }
            return CompletableFuture.supplyAsync(() -> one(context, event));
        }

        @Override
        public CompletableFuture<Object> handleBatch(Context context, List<Event> events) {
            return CompletableFuture.supplyAsync(() -> {
                try {
                    return super.handleBatch(context, events);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
        }
    }
}
