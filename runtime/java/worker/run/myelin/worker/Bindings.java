package run.myelin.worker;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import run.myelin.Answer;
import run.myelin.Binding;
import run.myelin.BindingError;
import run.myelin.CallError;
import run.myelin.Kv;
import run.myelin.Message;
import run.myelin.Objects;
import run.myelin.State;
import run.myelin.Statements;
import run.myelin.Stored;
import run.myelin.Table;
import run.myelin.Topics;
import run.myelin.Transaction;
import run.myelin.With;

/** The function's data bindings, as an event has them: calls end with it. */
final class Bindings {
    private Bindings() {}

    /** The bindings by name, of which text tells "class:name" of each, for an event or none. */
    static Map<String, Binding> of(String text, Calls calls, Request request) {
        Map<String, Binding> all = new TreeMap<>();
        for (String one : text.split(",")) {
            int i = one.indexOf(':');
            Asker a = i < 0 ? null : new Asker(one.substring(i + 1), calls, request, null, null);
            switch (i < 0 ? "" : one.substring(0, i)) {
                case "kv" -> all.put(a.name, new KvOf(a));
                case "object" -> all.put(a.name, new ObjectsOf(a));
                case "table" -> all.put(a.name, new TableOf(a));
                case "stream" -> all.put(a.name, new TopicsOf(a));
                default -> { } // of a class that functions have no use for
            }
        }
        return all;
    }

    /** The function's state, if text tells that it has some. */
    static State state(String text, Calls calls, Request request) {
        if (!Arrays.asList(text.split(",")).contains("state:state")) {
            throw new BindingError("the function has no state: name a binding under spec.state", "state", 404);
        }
        return new StateOf(new Asker("state", calls, request, null, null));
    }

    static BindingError unknown(String name, Map<String, Binding> all) {
        String there = all.isEmpty() ? "none" : String.join(", ", all.keySet());
        return new BindingError("the function has no binding \"" + name + "\" (it has " + there + ")", name, 404);
    }

    /** Asks for something of one binding. */
    private record Asker(String name, Calls calls, Request request, String transaction, With always) {
        private Map<String, String> options(With... with) {
            Map<String, String> all = new LinkedHashMap<>();
            for (With w : with) all.putAll(w.values());
            if (transaction != null) all.put("Transaction", transaction);
            return all;
        }

        private Duration timeout(With... with) {
            Duration found = always == null ? null : always.timeout();
            for (With w : with) if (w.timeout() != null) found = w.timeout();
            return found;
        }

        private static byte[] body(Object value) {
            return value == null ? new byte[0] : Body.bytes(Body.plain(value));
        }

        /** The answer; what failed is thrown, but for 404 if missing is a right answer: then it is null. */
        Answer ask(boolean missing, String method, String path, Object value, With... with) {
            return checked(missing, calls.bind(name, meta(name, method, path, options(with)), body(value), timeout(with), request));
        }

        /** Does the same without waiting. */
        <T> CompletableFuture<T> later(boolean missing, String method, String path, Object value, With[] with, Function<Answer, T> read) {
            return calls.bindLater(name, meta(name, method, path, options(with)), body(value), timeout(with), request)
                .thenApply(a -> read.apply(checked(missing, a)));
        }

        Answer checked(boolean missing, Answer a) {
            if (a.status() == 404 && missing) return null;
            if (a.status() < 400) return a;
            String places = a.header("Unpublished");
            List<Integer> unpublished = places == null ? List.of() : Arrays.stream(places.split(",")).map(Integer::valueOf).toList();
            throw new BindingError(a.text(), name, a.status(), unpublished);
        }

        Asker in(String transaction) {
            return new Asker(name, calls, request, transaction, always);
        }
    }

    private static byte[] value(Answer a) {
        return a == null ? null : a.body();
    }

    private static Stored stored(Answer a) {
        return a == null ? null : new Stored(a.body(), a.header("Version"), a.type());
    }

    private record KvOf(Asker a) implements Kv {
        @Override
        public String name() {
            return a.name;
        }

        @Override
        public byte[] get(String key, With... with) {
            return value(a.ask(true, "kv.get", key, null, with));
        }

        @Override
        public Stored entry(String key, With... with) {
            return stored(a.ask(true, "kv.get", key, null, with));
        }

        @Override
        public byte[] fetched(String name, With... with) {
            return value(a.ask(true, "kv.fetched", name, null, with));
        }

        @Override
        public String put(String key, Object value, With... with) {
            return a.ask(false, "kv.put", key, value, with).header("Version");
        }

        @Override
        public void delete(String key, With... with) {
            a.ask(false, "kv.delete", key, null, with);
        }

        @Override
        @SuppressWarnings("unchecked")
        public List<String> scan(String prefix, With... with) {
            return (List<String>) JsonReader.read(a.ask(false, "kv.scan", prefix, null, with).text());
        }

        @Override
        public long add(String key, long delta, With... with) {
            return Long.parseLong(a.ask(false, "kv.add", key, Long.toString(delta), with).text());
        }

        @Override
        public CompletableFuture<byte[]> getAsync(String key, With... with) {
            return a.later(true, "kv.get", key, null, with, Bindings::value);
        }

        @Override
        public CompletableFuture<String> putAsync(String key, Object value, With... with) {
            return a.later(false, "kv.put", key, value, with, x -> x.header("Version"));
        }
    }

    private record StateOf(Asker a) implements State {
        @Override
        public byte[] get(String key, With... with) {
            return value(a.ask(true, "state.get", key, null, with));
        }

        @Override
        public void put(String key, Object value, With... with) {
            a.ask(false, "state.put", key, value, with);
        }

        @Override
        public void delete(String key, With... with) {
            a.ask(false, "state.delete", key, null, with);
        }
    }

    private record ObjectsOf(Asker a) implements Objects {
        @Override
        public String name() {
            return a.name;
        }

        @Override
        public byte[] get(String name, With... with) {
            return value(a.ask(true, "object.get", name, null, with));
        }

        @Override
        public Stored entry(String name, With... with) {
            return stored(a.ask(true, "object.get", name, null, with));
        }

        @Override
        public byte[] fetched(String name, With... with) {
            return value(a.ask(true, "object.fetched", name, null, with));
        }

        @Override
        public String put(String name, Object content, With... with) {
            return a.ask(false, "object.put", name, content, with).header("Version");
        }

        @Override
        public void delete(String name, With... with) {
            a.ask(false, "object.delete", name, null, with);
        }

        @Override
        @SuppressWarnings("unchecked")
        public List<Map<String, Object>> list(String prefix, With... with) {
            return (List<Map<String, Object>>) JsonReader.read(a.ask(false, "object.list", prefix, null, with).text());
        }

        @Override
        @SuppressWarnings("unchecked")
        public Map<String, Object> stat(String name, With... with) {
            Answer found = a.ask(true, "object.stat", name, null, with);
            return found == null ? null : (Map<String, Object>) JsonReader.read(found.text());
        }
    }

    private static class StatementsOf implements Statements {
        Asker a;

        StatementsOf(Asker a) {
            this.a = a;
        }

        @Override
        public List<Map<String, Object>> query(String sql, Object... params) {
            return rows(a.ask(false, "table.query", sql, packed(Arrays.asList(params))));
        }

        static List<Map<String, Object>> rows(Answer given) {
            Map<?, ?> answer = (Map<?, ?>) JsonReader.read(given.text());
            List<?> columns = (List<?>) answer.get("columns");
            List<Map<String, Object>> rows = new ArrayList<>();
            if (answer.get("rows") == null) return rows;
            for (Object row : (List<?>) answer.get("rows")) {
                Map<String, Object> found = new LinkedHashMap<>();
                for (int i = 0; i < columns.size(); i++) found.put((String) columns.get(i), ((List<?>) row).get(i));
                rows.add(found);
            }
            return rows;
        }

        @Override
        public long exec(String sql, Object... params) {
            return affected(a.ask(false, "table.exec", sql, packed(Arrays.asList(params))));
        }

        @Override
        public long insert(String table, List<String> columns, List<? extends List<?>> rows) {
            With with = With.options();
            with.values().put("Columns", String.join(",", columns));
            return affected(a.ask(false, "table.insert", table, packed(rows), with));
        }

        private static long affected(Answer answer) {
            return ((Number) ((Map<?, ?>) JsonReader.read(answer.text())).get("affected")).longValue();
        }

        /** Parameters as JSON. */
        private static String packed(List<?> values) {
            return Json.write(values.stream().map(StatementsOf::parameter).toList());
        }

        private static Object parameter(Object v) {
            if (v instanceof byte[] b) return Map.of("$bytes", java.util.Base64.getEncoder().encodeToString(b));
            if (v instanceof List<?> row) return new ArrayList<Object>(Arrays.asList(row.stream().map(StatementsOf::parameter).toArray()));
            if (v instanceof java.time.Instant) return Map.of("$time", v.toString());
            if (v instanceof java.time.temporal.TemporalAccessor || v instanceof java.util.UUID) return v.toString();
            return v;
        }
    }

    private static final class TableOf extends StatementsOf implements Table {
        TableOf(Asker a) {
            super(a);
        }

        @Override
        public String name() {
            return a.name();
        }

        @Override
        public List<Map<String, Object>> fetched(String name, With... with) {
            Answer found = a.ask(true, "table.fetched", name, null, with);
            return found == null ? null : rows(found);
        }

        @Override
        public Table with(With with) {
            return new TableOf(new Asker(a.name, a.calls, a.request, null, with));
        }

        @Override
        public Transaction begin(With... with) {
            return new TransactionOf(a.in(a.ask(false, "table.begin", "", null, with).text()));
        }
    }

    private static final class TransactionOf extends StatementsOf implements Transaction {
        private boolean ended;

        TransactionOf(Asker a) {
            super(a);
        }

        @Override
        public void commit() {
            end("table.commit");
        }

        @Override
        public void close() {
            if (!ended) end("table.rollback");
        }

        private void end(String verb) {
            if (ended) throw new IllegalStateException("the transaction has ended");
            ended = true;
            String id = a.transaction();
            a.in(null).ask(false, verb, id, null);
            a = a.in("ended");
        }
    }

    private record TopicsOf(Asker a) implements Topics {
        @Override
        public String name() {
            return a.name;
        }

        @Override
        public void publish(String topic, Object message, With... with) {
            With trace = With.options();
            List<String> given = Arrays.stream(with).flatMap(w -> w.values().keySet().stream()).toList();
            trace("H-", given).forEach(trace::header);
            With[] all = Arrays.copyOf(with, with.length + 1);
            all[with.length] = trace;
            a.ask(false, "stream.publish", topic, message, all);
        }

        @Override
        public void publishAll(List<Message> messages, With... with) {
            List<List<Object>> all = new ArrayList<>();
            for (Message m : messages) {
                Map<String, String> headers = new LinkedHashMap<>(m.headers());
                headers.putAll(trace("", headers.keySet()));
                all.add(Arrays.asList(m.topic(), carried(m.value()), m.key() == null ? null : carried(m.key()), headers));
            }
            a.ask(false, "stream.publishAll", "", Json.write(all), with);
        }

        /** The value or the key of a message within JSON. */
        private static Object carried(Object content) {
            Object plain = content == null ? "" : Body.plain(content);
            return plain instanceof String ? plain : Map.of("$bytes", java.util.Base64.getEncoder().encodeToString(Body.bytes(plain)));
        }

        /** The headers that make a message part of the event's trace, but for those that were given, whose names begin with prefix. */
        private Map<String, String> trace(String prefix, java.util.Collection<String> given) {
            Map<String, String> found = new LinkedHashMap<>();
            if (a.request == null || a.request.batch != null) return found;
            for (String key : List.of("traceparent", "tracestate")) {
                String value = a.request.header(key);
                if (value != null && given.stream().noneMatch((prefix + key)::equalsIgnoreCase)) found.put(key, value);
            }
            return found;
        }
    }

    /** The metadata of a call. */
    static byte[] meta(String name, String method, String path, Map<String, String> options) {
        byte[][] strings = {name.getBytes(UTF_8), method.getBytes(UTF_8), path.getBytes(UTF_8), {}};
        Bytes b = new Bytes(256);
        for (byte[] s : strings) b.u32(s.length);
        b.u32(options.size()).u32(0);
        for (byte[] s : strings) b.raw(s);
        options.forEach((k, v) -> b.pair(k.getBytes(UTF_8), v.getBytes(UTF_8)));
        return b.done();
    }

    /** What a call that got no answer answers. */
    static Answer failed(CallError e) {
        return new Answer(e.status(), Heads.TEXT, Map.of(), e.getMessage().getBytes(UTF_8));
    }
}
