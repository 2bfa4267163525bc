package run.myelin.worker;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;

/** Takes events off the ring and hands them to the function; answers when it gives, completes or fails. */
final class Server {
    // Answers wake the processor together, but wait no longer than this.
    private static final int RING_EVENTS = 32;
    private static final long RING_NANOS = 100_000;

    private final Channel channel;
    private final Shared shared;
    private final Log log;
    private final Function function;
    private final Executor threads; // null: handlers run in the thread that takes
    private final Waiting waiting;
    private final long spin; // nanoseconds to wait awake; 0: not at all
    private volatile boolean ending;

    /** A server for the current thread. */
    Server(Channel channel, Shared shared, Function function, Executor threads, long spin) {
        this.channel = channel;
        this.shared = shared;
        this.log = shared.log;
        this.function = function;
        this.threads = threads;
        this.spin = spin;
        waiting = channel.waiting;
    }

    /** Serves until the processor says stop and everything is answered. */
    void run() throws IOException {
        channel.taking();
        long rung = 0;
        for (;;) {
            Request r = channel.take();
            if (r == null) {
                channel.ring();
                ending = channel.stopped();
                if (ending && channel.inFlight() == 0) return;
                if (spin > 0 && !ending && channel.spin(spin)) continue;
                boolean last = ending;
                waiting.await(() -> channel.news(last) || last && channel.inFlight() == 0);
                continue;
            }
            if (channel.unrung() == 0) rung = r.begun;
            else if (channel.unrung() >= RING_EVENTS || r.begun - rung > RING_NANOS) channel.ring();
            if (threads == null) begin(r);
            else threads.execute(() -> begin(r));
        }
    }

    private void begin(Request r) {
        Object value;
        log.running(r);
        try {
            value = r.batch == null ? function.handle(shared.context(r), r) : function.handleBatch(shared.context(r), List.copyOf(r.batch));
        } catch (Throwable t) {
            fail(r, t);
            return;
        } finally {
            log.running(null);
        }
        if (value instanceof CompletionStage<?> stage) {
            stage.whenComplete((v, t) -> {
                if (t != null) fail(r, t);
                else answer(r, v);
            });
        } else {
            answer(r, value);
        }
    }

    private void answer(Request r, Object value) {
        if (r.batch != null) {
            answerBatch(r, value);
            return;
        }
        Answer a;
        try {
            if (value instanceof Throwable t) throw t;
            a = Body.answer(value, r.records());
        } catch (Throwable t) {
            fail(r, t);
            return;
        }
        if (a.parts == null) publish(r, a);
        else stream(r, a);
    }

    private void answerBatch(Request r, Object value) {
        try {
            if (value instanceof Throwable t) throw t;
            List<Object> found = Batch.match(r.batch, value);
            for (int i = 0; i < found.size(); i++) publish(r.batch.get(i), Batch.entry(found.get(i), r.batch.get(i)));
        } catch (Throwable t) {
            fail(r, t);
        }
    }

    private void stream(Request r, Answer a) {
        if (!channel.claims) {
            fail(r, new UnsupportedOperationException("this processor takes no streams"));
            return;
        }
        Parts parts = new Parts(channel, waiting, r, a);
        if (a.parts instanceof Flow.Publisher<?> source) {
            source.subscribe(new Subscriber<>(parts, r));
            return;
        }
        log.running(r);
        Answer end;
        try {
            parts.run(a.parts);
            end = parts.end();
        } catch (Throwable t) {
            end = ended(r, parts, t);
        } finally {
            log.running(null);
        }
        publish(r, end);
    }

    private Answer ended(Request r, Parts parts, Throwable t) {
        if (t instanceof Parts.Gone) return parts.end();
        log.write(r, "exception in handler: " + Body.describe(t), t);
        return parts.failed(t);
    }

    /** Sends what a publisher gives, one part at a time. */
    private final class Subscriber<T> implements Flow.Subscriber<T> {
        private final Parts parts;
        private final Request request;
        private Flow.Subscription subscription;
        private boolean done;

        Subscriber(Parts parts, Request request) {
            this.parts = parts;
            this.request = request;
        }

        @Override
        public void onSubscribe(Flow.Subscription s) {
            if (subscription != null) {
                s.cancel();
                return;
            }
            subscription = s;
            s.request(1);
        }

        @Override
        public void onNext(T part) {
            if (done) return;
            try {
                parts.push(part);
                subscription.request(1);
            } catch (Throwable t) {
                subscription.cancel();
                end(ended(request, parts, t));
            }
        }

        @Override
        public void onError(Throwable t) {
            if (!done) end(ended(request, parts, t));
        }

        @Override
        public void onComplete() {
            end(parts.end());
        }

        private void end(Answer a) {
            if (done) return;
            done = true;
            publish(request, a);
        }
    }

    private void fail(Request r, Throwable thrown) {
        Throwable t = Body.cause(thrown);
        log.write(r, "exception in handler: " + Body.describe(t), t);
        for (Request e : r.together()) publish(e, Body.failed(t, e.records()));
    }

    private void publish(Request r, Answer a) {
        try {
            channel.respond(r, a);
        } catch (IOException e) { // the processor has gone, or there is no memory for files
            log.write(r, "answer cannot be passed on: " + e.getMessage(), e);
            System.exit(1);
        }
        if (ending) Native.wake();
    }
}
