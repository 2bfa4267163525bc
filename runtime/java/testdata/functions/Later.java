import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.SubmissionPublisher;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import run.myelin.BatchHandler;
import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;
import run.myelin.Response;

/** The functions of the runtimes' suite, with answers that come later. */
public class Later {
    /** Runs a plain function in another thread. */
    abstract static class Elsewhere implements MyelinHandler {
        private final MyelinHandler of;

        Elsewhere(MyelinHandler of) {
            this.of = of;
        }

        @Override
        public void init(Context context) throws Exception {
            of.init(context);
        }

        @Override
        public CompletionStage<Object> handle(Context context, Event event) {
            CompletableFuture<Object> answer = new CompletableFuture<>();
            CompletableFuture.runAsync(() -> {
                try {
                    answer.complete(of.handle(context, event));
                } catch (Throwable t) {
                    answer.completeExceptionally(t);
                }
            });
            return answer;
        }
    }

    public static class Echo extends Elsewhere {
        public Echo() {
            super(new Plain.Echo());
        }
    }

    public static class Keep extends Elsewhere {
        public Keep() {
            super(new Plain.Keep());
        }
    }

    public static class Fail extends Elsewhere {
        public Fail() {
            super(new Plain.Fail());
        }
    }

    public static class Panic extends Elsewhere {
        public Panic() {
            super(new Plain.Panic());
        }
    }

    public static class Exit extends Elsewhere implements BatchHandler {
        public Exit() {
            super(new Plain.Exit());
        }

        @Override
        public CompletableFuture<Object> handleBatch(Context context, List<Event> events) {
            return CompletableFuture.supplyAsync(() -> new Plain.Exit().handleBatch(context, events));
        }

        @Override
        public CompletionStage<Object> handle(Context context, Event event) {
            return super.handle(context, event);
        }
    }

    public static class Batch implements BatchHandler {
        @Override
        public CompletableFuture<Object> handleBatch(Context context, List<Event> events) {
            return CompletableFuture.supplyAsync(() -> {
                try {
                    return new Plain.Batch().handleBatch(context, events);
                } catch (Exception e) {
                    throw new CompletionException(e);
                }
            });
        }
    }

    public static class Call extends Elsewhere {
        public Call() {
            super(new Plain.Call());
        }
    }

    public static class Bind extends Elsewhere {
        public Bind() {
            super(new Plain.Bind());
        }
    }

    public static class CallMany implements MyelinHandler {
        @Override
        public CompletableFuture<String> handle(Context context, Event event) {
            AtomicInteger same = new AtomicInteger();
            CompletableFuture<?>[] all = IntStream.range(0, Integer.parseInt(event.text()))
                .mapToObj(i -> context.getPlatform().callFunctionAsync("echo", Plain.request(String.valueOf(i))).thenAccept(a -> {
                    if (a.text().equals(String.valueOf(i))) same.incrementAndGet();
                })).toArray(CompletableFuture[]::new);
            return CompletableFuture.allOf(all).thenApply(v -> same.toString());
        }
    }

    public static class CallBatch implements BatchHandler {
        @Override
        public CompletableFuture<Object> handleBatch(Context context, List<Event> events) {
            List<CompletableFuture<byte[]>> all = events.stream()
                .map(e -> context.getPlatform().callFunctionAsync("echo", Plain.request(e.text())).thenApply(a -> a.body())).toList();
            return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).thenApply(v -> all.stream().map(CompletableFuture::join).toList());
        }
    }

    public static class Hang extends Elsewhere {
        public Hang() {
            super(new Plain.Hang());
        }
    }

    public static class Big extends Elsewhere {
        public Big() {
            super(new Plain.Big());
        }
    }

    public static class Headers extends Elsewhere {
        public Headers() {
            super(new Plain.Headers());
        }
    }

    public static class Status extends Elsewhere {
        public Status() {
            super(new Plain.Status());
        }
    }

    public static class UserData extends Elsewhere {
        public UserData() {
            super(new Plain.UserData());
        }
    }

    public static class Leave extends Elsewhere {
        public Leave() {
            super(new Plain.Leave());
        }
    }

    public static class BadInit extends Elsewhere {
        public BadInit() {
            super(new Plain.BadInit());
        }
    }

    public static class Logs extends Elsewhere {
        public Logs() {
            super(new Plain.Logs());
        }
    }

    public static class Empty extends Elsewhere {
        public Empty() {
            super(new Plain.Empty());
        }
    }

    /** Streams through a publisher, in its threads; its buffer is one part. */
    public static class Stream implements MyelinHandler {
        private volatile int made;

        @Override
        public CompletableFuture<Object> handle(Context context, Event event) {
            if (event.text().equals("made")) return CompletableFuture.completedFuture(String.valueOf(made));
            int n = Integer.parseInt(event.text());
            made = 0;
            SubmissionPublisher<byte[]> parts = new SubmissionPublisher<>(ForkJoinPool.commonPool(), 1);
            Flow.Publisher<byte[]> source = to -> {
                parts.subscribe(to);
                new Thread(() -> {
                    for (int i = 0; i < n && parts.hasSubscribers(); i++) {
                        made = i + 1;
                        parts.submit((i + ";").getBytes(StandardCharsets.UTF_8));
                    }
                    parts.close();
                }).start();
            };
            return CompletableFuture.completedFuture(Response.of(source).type("text/event-stream"));
        }
    }
}
