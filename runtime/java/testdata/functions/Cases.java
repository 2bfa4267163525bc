import io.nuclio.EventHandler;
import java.io.ByteArrayInputStream;
import java.io.FileWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import run.myelin.BatchHandler;
import run.myelin.Call;
import run.myelin.Context;
import run.myelin.Event;
import run.myelin.HttpError;
import run.myelin.MyelinHandler;
import run.myelin.Response;
import run.myelin.StreamBody;

/** Functions of the tests that are this runtime's own. */
public class Cases {
    record Point(int x, String y) {}

    enum Colour { RED }

    static class Stubborn extends RuntimeException {
        @Override
        public String toString() {
            throw new IllegalStateException("no text");
        }
    }

    /** Gives what the body names. */
    public static class Returns implements MyelinHandler {
        public Object handle(Context context, Event event) throws Exception {
            switch (event.text()) {
                case "null": return null;
                case "string": return "grüße";
                case "builder": return new StringBuilder("built");
                case "bytes": return new byte[] {1, 2, (byte) 255};
                case "buffer": return ByteBuffer.wrap("xbufferx".getBytes(), 1, 6);
                case "direct": return ByteBuffer.allocateDirect(3).put("abc".getBytes()).flip();
                case "map": return new TreeMap<>(Map.of("a", 1, "b", Arrays.asList(null, true, 1.5, "q\"\n"), "c", Map.of()));
                case "list": return List.of(1, "two", new int[] {3}, Colour.RED);
                case "number": return 42;
                case "record": return new Point(1, "é");
                case "nan": return Double.NaN;
                case "deep": {
                    List<Object> self = new ArrayList<>();
                    self.add(self);
                    return self;
                }
                case "object": return new Object();
                case "response": return Response.of(List.of(1)).status(201).header("X-A", 5).header("X-B", List.of("1", "2"));
                case "typed": return Response.of(Map.of()).type("application/problem+json");
                case "nuclio": return new io.nuclio.Response().setStatusCode(404).setBody("nö").setHeaders(Map.of("X-N", "v")).setContentType("text/x");
                case "nested": return Response.of(Response.of("x"));
                case "bad status": return Response.of("x").status(1000);
                case "bad header": return Response.of("x").header("X", "a\r\nSet-Cookie: b");
                case "future": return CompletableFuture.supplyAsync(() -> "later");
                case "failed future": return CompletableFuture.failedFuture(new IOException("planted"));
                case "throwable": return new HttpError(410, "gone");
                case "http error": throw new HttpError(422, "no such thing");
                case "checked": throw new IOException("planted");
                case "stack": return recurse(1);
                case "stubborn": throw new Stubborn();
                case "in stream": return new ByteArrayInputStream("streamed".getBytes());
                case "stream": return Stream.of("a", "b".getBytes(), ByteBuffer.wrap("c".getBytes()));
                case "written": return (StreamBody) out -> {
                    out.write("one".getBytes());
                    out.flush();
                    out.write("two".getBytes());
                };
                case "nothing written": return (StreamBody) out -> { };
                case "broken early": return (StreamBody) out -> { throw new HttpError(418, "early"); };
                case "broken late": return Stream.of("begun", 5);
                default: throw new IllegalArgumentException(event.text());
            }
        }

        private static int recurse(int n) {
            return recurse(n + 1) + n;
        }
    }

    /** Shows all that an event has. */
    public static class Show implements EventHandler {
        public io.nuclio.Response handleEvent(io.nuclio.Context context, io.nuclio.Event e) {
            Event own = (Event) e;
            Map<String, Object> all = new LinkedHashMap<>();
            all.put("id", e.getID());
            all.put("trigger", List.of(e.getTriggerInfo().getKindName(), e.getTriggerInfo().getClassName(), own.getTriggerName()));
            all.put("type", e.getContentType());
            all.put("header", Arrays.asList(e.getHeaderString("x-NUM"), e.getHeaderLong("x-num"), new String(e.getHeaderBytes("x-num")), e.getHeader("none"), e.getHeaderLong("none")));
            all.put("fields", Arrays.asList(e.getFields(), e.getFieldLong("n"), e.getFieldString("N")));
            all.put("place", Arrays.asList(e.getMethod(), e.getPath(), e.getURL(), own.getTopic(), new String(own.getKey()), own.getOffset(), e.getShardID(), e.getTotalNumShards()));
            all.put("time", e.getTimestamp().getTime());
            all.put("rest", e.getType() + e.getTypeVersion() + e.getVersion() + own.isLastInBatch() + own.size());
            return Response.of(all);
        }
    }

    public static class Prints implements MyelinHandler {
        public Object handle(Context context, Event event) throws Exception {
            System.out.println("printed");
            System.err.println("to stderr");
            System.out.write(new byte[] {'b', (byte) 0xff, 0, '\n'});
            System.out.println("y".repeat(20000));
            new ProcessBuilder("sh", "-c", "echo from child").inheritIO().start().waitFor();
            context.getLogger().warnWith("warned", "number", 7, "list", List.of(1));
            context.getLogger().info("100%");
            context.getLogger().info("%d is no number", "x");
            context.getLogger().errorWith("failed", "error", new IOException("inner"));
            System.out.print("no newline");
            return "";
        }
    }

    /** Writes down what it begins. */
    public static class Begun implements MyelinHandler {
        private final FileWriter out;

        public Begun() throws IOException {
            out = new FileWriter("begun", true);
        }

        public Object handle(Context context, Event event) throws IOException {
            synchronized (out) {
                out.write(event.text() + "\n");
                out.flush();
            }
            return event.bodyBuffer();
        }
    }

    /** Waits until ten events are there. */
    public static class Ten implements MyelinHandler {
        private final CountDownLatch all = new CountDownLatch(10);

        public Object handle(Context context, Event event) throws Exception {
            all.countDown();
            if (!all.await(30, TimeUnit.SECONDS)) throw new IllegalStateException("they do not run at once");
            context.getLogger().info("served");
            System.out.println("printed " + event.getID());
            return event.getBody();
        }
    }

    public static class TenLater implements MyelinHandler {
        private final List<Runnable> waiting = new ArrayList<>();

        public CompletableFuture<byte[]> handle(Context context, Event event) {
            CompletableFuture<byte[]> answer = new CompletableFuture<>();
            waiting.add(() -> answer.complete(event.getBody()));
            if (waiting.size() == 10) waiting.forEach(Runnable::run);
            return answer;
        }
    }

    /** Says in which order events come, and by which thread. */
    public static class Order implements MyelinHandler {
        private int next;

        public Object handle(Context context, Event event) {
            return next++ + " " + Thread.currentThread().getName();
        }
    }

    public static class Virtual implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return Thread.currentThread().toString();
        }
    }

    /** Keeps views of bodies until it is told to let go. */
    public static class Views implements MyelinHandler {
        private final List<ByteBuffer> kept = new ArrayList<>();

        public Object handle(Context context, Event event) {
            if (event.size() == 0) { // all are as they came
                for (ByteBuffer b : kept) for (int i = 1; i < b.limit(); i++) if (b.get(i) != b.get(0)) throw new AssertionError("changed");
                int direct = (int) kept.stream().filter(ByteBuffer::isDirect).count();
                return kept.size() + " " + direct;
            }
            if (event.size() == 1) {
                kept.clear();
                System.gc();
                return "";
            }
            ByteBuffer b = event.bodyBuffer();
            if (!b.isReadOnly()) throw new AssertionError("it can be written");
            kept.add(b.slice());
            return "";
        }
    }

    /** Eats, loops, exits: what the body says. */
    public static class Misbehaves implements MyelinHandler {
        private static final List<Object> EATEN = Collections.synchronizedList(new ArrayList<>());

        public Object handle(Context context, Event event) throws Exception {
            switch (event.text()) {
                case "eat": for (;;) EATEN.add(new byte[1 << 20]);
                case "eat direct": for (;;) EATEN.add(ByteBuffer.allocateDirect(16 << 20));
                case "halt": Runtime.getRuntime().halt(9);
                case "exit": System.exit(4);
                case "thread": {
                    Thread t = new Thread(() -> { throw new IllegalStateException("in a thread"); }, "loose");
                    t.start();
                    t.join();
                    return "alive";
                }
                case "interrupted": Thread.currentThread().interrupt(); return "alive";
                default: return event.text();
            }
        }
    }

    public static class Closes implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return CompletableFuture.supplyAsync(() -> "done", CompletableFuture.delayedExecutor(300, TimeUnit.MILLISECONDS));
        }

        @Override
        public void close() {
            System.out.println("closed in order");
        }
    }

    public static class Hook implements EventHandler {
        private String word;

        public void initContext(io.nuclio.Context context) {
            word = ((Context) context).getPlatform().callFunction("f", Call.of("ready")).text();
        }

        @Override
        public io.nuclio.Response handleEvent(io.nuclio.Context context, io.nuclio.Event event) {
            return new io.nuclio.Response().setBody(word);
        }
    }

    /** Calls as often as the body says, one after another, and once more at once. */
    public static class Calls implements MyelinHandler {
        public Object handle(Context context, Event event) {
            int n = Integer.parseInt(event.text()), same = 0;
            for (int i = 0; i < n; i++) {
                String body = String.valueOf(i).repeat(1 + i * i * i % 4000);
                CompletableFuture<run.myelin.Answer> other = context.getPlatform().callFunctionAsync("f", Call.of("async " + i));
                if (context.getPlatform().callFunction("f", Call.of(body)).text().equals(body)) same++;
                if (i % 3 > 0 && !other.join().text().equals("async " + i)) throw new AssertionError("another's answer");
            }
            return String.valueOf(same);
        }
    }

    /** Answers a batch by ids, in another order. */
    public static class Ids implements BatchHandler {
        public Object handleBatch(Context context, List<Event> events) {
            List<Object> out = new ArrayList<>();
            for (Event e : events) out.add(0, Response.of(e.text()).eventId(e.getID()));
            return events.size() > 3 ? out.subList(1, out.size()) : out;
        }
    }

    public static class Environment implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return Arrays.asList(System.getenv("MINE"), System.getenv("PROCESSOR_SECRET"), System.getenv("NUCLIO_FUNCTION_NAME"), context.getFunctionName(),
                context.getWorkerId(), context.getTriggerKind(), context.getTriggerName(), new java.io.File("data.txt").exists(),
                Thread.currentThread().getContextClassLoader().getResource("data.txt") != null);
        }
    }

    static class NoConstructor implements MyelinHandler {
        NoConstructor(int x) {}

        public Object handle(Context context, Event event) {
            return null;
        }
    }

    static class BadStatic implements MyelinHandler {
        static final int X = Integer.parseInt("planted");

        public Object handle(Context context, Event event) {
            return X;
        }
    }

    static class ExitsAtOnce implements MyelinHandler {
        ExitsAtOnce() {
            System.exit(4);
        }

        public Object handle(Context context, Event event) {
            return null;
        }
    }

    static class Private implements MyelinHandler {
        private static final AtomicInteger COUNT = new AtomicInteger();

        private Private() {}

        public Object handle(Context context, Event event) {
            return COUNT.incrementAndGet();
        }
    }
}
