import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import run.myelin.Answer;
import run.myelin.BatchHandler;
import run.myelin.BindingError;
import run.myelin.CallError;
import run.myelin.Context;
import run.myelin.Event;
import run.myelin.Kv;
import run.myelin.MyelinHandler;
import run.myelin.Objects;
import run.myelin.Response;
import run.myelin.Table;
import run.myelin.Topics;
import run.myelin.Transaction;
import run.myelin.With;

/** The functions of the runtimes' suite, in Myelin's own form. */
public class Plain {
    public static class Echo implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return event.bodyBuffer();
        }
    }

    public static class Keep implements MyelinHandler {
        private Event event;
        private ByteBuffer body;

        public synchronized Object handle(Context context, Event event) {
            byte[] before = {};
            if (body != null) {
                before = new byte[body.remaining()];
                body.duplicate().get(before);
                if (!new String(before).equals(this.event.text())) throw new AssertionError("event and view differ");
            }
            this.event = event;
            body = event.bodyBuffer();
            return before;
        }
    }

    public static class Fail implements MyelinHandler {
        public Object handle(Context context, Event event) throws Exception {
            throw new Exception("deliberate failure");
        }
    }

    public static class Panic implements MyelinHandler {
        public Object handle(Context context, Event event) {
            throw new AssertionError("deliberate panic");
        }
    }

    public static class Exit implements BatchHandler {
        public Object handle(Context context, Event event) {
            System.exit(3);
            return null;
        }

        public Object handleBatch(Context context, List<Event> events) {
            return handle(context, null);
        }
    }

    public static class Batch implements BatchHandler {
        public Object handleBatch(Context context, List<Event> events) throws Exception {
            List<Object> answers = new ArrayList<>();
            boolean complete = true;
            for (Event e : events) {
                String body = e.text(), answer = events.size() + ":" + body;
                if (body.equals("raise")) throw new Exception("deliberate failure");
                complete &= !body.equals("short");
                answers.add(body.equals("error") ? new Exception("deliberate failure") : body.equals("teapot") ? Response.of(answer).status(418) : answer);
            }
            return complete ? answers : answers.subList(1, answers.size());
        }
    }

    static run.myelin.Call request(String body) {
        return run.myelin.Call.of(body).method("POST").path("/called?a=b").header("X-Own", "kept").type("text/x-suite");
    }

    public static class Call implements MyelinHandler {
        public Object handle(Context context, Event event) {
            String[] words = event.text().split(" ");
            run.myelin.Call call = request("c".repeat(Integer.parseInt(words[1])));
            if (!words[2].equals("0")) call.timeout(Duration.ofMillis(Long.parseLong(words[2])));
            try {
                Answer a = context.getPlatform().callFunction(words[0], call);
                return a.status() + " " + a.body().length + " " + a.type() + " " + a.header("x-reply");
            } catch (CallError e) {
                return "failed: " + e.getMessage();
            }
        }
    }

    public static class Bind implements MyelinHandler {
        public Object handle(Context context, Event event) {
            String[] words = event.text().split(" ");
            try {
                return switch (words[0]) {
                    case "kv" -> kv(context.binding("items"));
                    case "object" -> objects(context.binding("objects"));
                    case "table" -> table(context.binding("db"));
                    default -> other(context, words);
                };
            } catch (BindingError e) {
                return "failed " + e.status() + " " + e.getMessage();
            }
        }

        private static String text(byte[] value) {
            return value == null ? "none" : new String(value);
        }

        private static String joined(Object... all) {
            return String.join("|", Arrays.stream(all).map(String::valueOf).toList());
        }

        private static String kv(Kv items) {
            String v = items.put("k", "hello", With.options().ttl(Duration.ofSeconds(60)));
            String first = joined(v, text(items.get("k")), items.entry("k").version(), items.put("k", "other".getBytes(), With.options().version(v)));
            int status = 0;
            try {
                items.put("k", "x", With.options().version(v));
            } catch (BindingError e) {
                status = e.status();
            }
            String second = joined(status, text(items.get("none")), items.add("n", 5), items.add("n", 2), String.join("|", items.scan("k")));
            items.delete("k");
            return joined(first, second, text(items.get("k")));
        }

        private static String objects(Objects objects) {
            objects.put("a/b", "o".repeat(100000), With.options().type("text/x"));
            String found = joined(objects.get("a/b").length, objects.get("a/b", With.options().range(1, 3)).length, objects.entry("a/b").type(),
                objects.stat("a/b").get("size"), objects.list("a/").get(0).get("name"));
            objects.delete("a/b");
            return joined(found, text(objects.get("a/b")));
        }

        private static String table(Table db) {
            Map<String, Object> row = db.query("select ?, ?", 7, "x'y").get(0);
            String out = joined(row.get("a"), row.get("b"), db.exec("update t"), db.insert("t", List.of("a", "b"), List.of(List.of(1, "p"), List.of(2, "q"))));
            try (Transaction tx = db.begin()) {
                out = joined(out, tx.exec("in it"));
                tx.commit();
            }
            return out;
        }

        private static String other(Context context, String[] words) {
            Kv items = context.binding("items");
            switch (words[0]) {
                case "stream":
                    Topics topics = context.binding("topics");
                    topics.publish("t", "m", With.options().key("k").header("A", "1"));
                    return "published";
                case "get":
                    return String.valueOf(items.get(words[1]).length);
                case "large":
                    byte[] value = new byte[Integer.parseInt(words[1])];
                    Arrays.fill(value, (byte) 'c');
                    items.put("large", value);
                    byte[] got = items.get("large");
                    return Arrays.equals(got, value) ? String.valueOf(got.length) : "other bytes";
                case "many":
                    List<CompletableFuture<byte[]>> all = IntStream.range(0, Integer.parseInt(words[1])).mapToObj(i -> items.getAsync("echo:" + i)).toList();
                    return String.valueOf(IntStream.range(0, all.size()).filter(i -> text(all.get(i).join()).equals(String.valueOf(i))).count());
                case "timeout":
                    return text(items.get("slow", With.options().timeout(Duration.ofMillis(50))));
                case "leave":
                    Table db = context.binding("db");
                    db.begin();
                    items.getAsync("slow");
                    return "left 1";
                case "unknown":
                    return context.binding("nowhere").name();
                default:
                    return String.join(",", context.bindings().keySet());
            }
        }
    }

    public static class CallMany implements MyelinHandler {
        public Object handle(Context context, Event event) {
            int n = Integer.parseInt(event.text()), same = 0;
            List<CompletableFuture<Answer>> all = new ArrayList<>();
            for (int i = 0; i < n; i++) all.add(context.getPlatform().callFunctionAsync("echo", request(String.valueOf(i))));
            CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).join();
            for (int i = 0; i < n; i++) if (all.get(i).join().text().equals(String.valueOf(i))) same++;
            return String.valueOf(same);
        }
    }

    public static class CallBatch implements BatchHandler {
        public Object handleBatch(Context context, List<Event> events) {
            List<Object> answers = new ArrayList<>();
            for (Event e : events) answers.add(context.getPlatform().callFunction("echo", request(e.text())).body());
            return answers;
        }
    }

    public static class Hang implements MyelinHandler {
        public Object handle(Context context, Event event) {
            while (event.size() > 0) Thread.onSpinWait();
            return "ok";
        }
    }

    public static class Big implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return "x".repeat(Integer.parseInt(event.text()));
        }
    }

    public static class Headers implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return Response.of(null).header("X-Reply", event.header("x-ask"));
        }
    }

    public static class Status implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return Response.of("teapot").status(418);
        }
    }

    public static class UserData implements MyelinHandler {
        public void init(Context context) {
            context.setUserData("ready");
        }

        public Object handle(Context context, Event event) {
            String word = context.getUserData();
            return word;
        }
    }

    public static class Leave implements MyelinHandler {
        public void init(Context context) {
            context.onDrain(() -> {
                throw new IllegalStateException("deliberate drain failure");
            });
            context.onDrain(() -> {
                try {
                    Thread.sleep(300);
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
                context.getLogger().info("the drain hook has ended");
            });
        }

        public Object handle(Context context, Event event) {
            return event.bodyBuffer();
        }
    }

    public static class BadInit implements MyelinHandler {
        public void init(Context context) {
            throw new IllegalStateException("deliberate init failure");
        }

        public Object handle(Context context, Event event) {
            return null;
        }
    }

    public static class Logs implements MyelinHandler {
        public Object handle(Context context, Event event) {
            context.getLogger().debug("a debug %s", "line");
            context.getLogger().infoWith("an info line", "answer", 42);
            return null;
        }
    }

    public static class Empty implements MyelinHandler {
        public Object handle(Context context, Event event) {
            return null;
        }
    }

    public static class Stream implements MyelinHandler {
        private volatile int made;

        public Object handle(Context context, Event event) {
            if (event.text().equals("made")) return String.valueOf(made);
            int n = Integer.parseInt(event.text());
            made = 0;
            Iterator<String> parts = IntStream.range(0, n).mapToObj(i -> {
                made = i + 1;
                return i + ";";
            }).iterator();
            return Response.of(parts).type("text/event-stream");
        }
    }
}
