package run.myelin.worker;

import java.io.IOException;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** The worker of Java functions: loads the handler and serves the channel. */
public final class Main {
    private static final int ASYNC = 1, SLEEPS = 2, CLAIMS = 4, BATCHES = 8, LEAVES = 32, BELLS = 64;

    private Main() {}

    public static void main(String[] args) throws Exception {
        Options options = new Options(args);
        System.load(options.get("native"));
        Control control = new Control();
        Channel channel = new Channel(control.hello(), control);
        Native.watch();
        Log log = new Log(control, options.number("level", Heads.INFO));
        log.capture();
        Shared shared = new Shared(log, channel.calls, options);
        Function function = load(control, shared, options);
        int threads = options.number("threads", 0);
        boolean async = options.get("async").isEmpty() ? threads > 0 || function.asynchronous() : options.get("async").equals("1");
        control.say(Control.READY, (async ? ASYNC : 0) | SLEEPS | (channel.claims ? CLAIMS : 0) | (function.takesBatches() ? BATCHES : 0) | (shared.leaving.listen() ? LEAVES : 0) | (control.bells() ? BELLS : 0), "Java " + Runtime.version());
        new Server(channel, shared, function, threads == 0 ? null : executor(threads), options.number("spin", 0)).run();
        shared.leaving.await(channel.left());
        try {
            function.close();
        } catch (Throwable t) {
            log.write(null, "close failed: " + Body.describe(t), t);
        }
        log.running(null);
        System.exit(0);
    }

    /** Loads the function and runs its init hook. If that cannot be, the processor is told why, and this process ends. */
    static Function load(Control control, Shared shared, Options options) throws IOException {
        String problem;
        Throwable cause;
        try {
            Loader loader = new Loader(options.get("classpath"), options.get("own"));
            Thread.currentThread().setContextClassLoader(loader.loader);
            Function function = Loader.make(loader.find(options.get("handler")));
            try {
                function.init(shared.context(null));
                return function;
            } catch (Throwable t) {
                problem = "init failed: " + Body.describe(t);
                cause = t;
            }
        } catch (Loader.Problem p) {
            problem = p.getMessage();
            cause = p.getCause();
        } catch (Throwable t) {
            problem = Body.describe(t);
            cause = t;
        }
        if (cause != null) shared.log.write(null, "function cannot be loaded", cause);
        shared.log.running(null);
        control.say(Control.FAIL, 0, problem);
        System.exit(1);
        return null;
    }

    /** Virtual threads where this Java has them, else a pool; there are never more events than threads. */
    private static Executor executor(int threads) {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException older) {
            AtomicInteger n = new AtomicInteger();
            return Executors.newFixedThreadPool(threads, task -> {
                Thread t = new Thread(task, "handler-" + n.incrementAndGet());
                t.setDaemon(true);
                return t;
            });
        }
    }
}
