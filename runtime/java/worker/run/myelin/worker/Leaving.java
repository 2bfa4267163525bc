package run.myelin.worker;

import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;

/** What the function does when its processor has begun to drain, which SIGURG says. */
final class Leaving {
    private final Log log;
    private final List<Runnable> hooks = new CopyOnWriteArrayList<>();
    private Thread thread; // that runs them; null before

    Leaving(Log log) {
        this.log = log;
    }

    void add(Runnable hook) {
        hooks.add(Objects.requireNonNull(hook));
    }

    /** Listens if there are hooks, and says whether there are. Java's own way to hear signals is not part of its API. */
    boolean listen() throws ReflectiveOperationException {
        if (hooks.isEmpty()) return false;
        Class<?> signal = Class.forName("sun.misc.Signal"), handler = Class.forName("sun.misc.SignalHandler");
        Object mine = Proxy.newProxyInstance(Leaving.class.getClassLoader(), new Class<?>[] {handler}, (proxy, method, args) -> {
            if (method.getName().equals("handle")) begin();
            return switch (method.getName()) {
                case "hashCode" -> System.identityHashCode(proxy);
                case "equals" -> proxy == args[0];
                case "toString" -> "drain hooks";
                default -> null;
            };
        });
        signal.getMethod("handle", signal, handler).invoke(null, signal.getConstructor(String.class).newInstance("URG"), mine);
        return true;
    }

    private synchronized void begin() {
        if (thread != null) return;
        thread = new Thread(this::run, "drain");
        thread.setDaemon(true);
        thread.start();
    }

    private void run() {
        for (Runnable hook : hooks) {
            try {
                hook.run();
            } catch (Throwable t) {
                log.write(null, "drain hook failed: " + Body.describe(t), t);
            }
        }
    }

    /**
     * Returns when hooks that were begun have ended; the processor waits no longer than it may. If they were asked for
     * and the signal has not come yet, they begin here.
     */
    void await(boolean asked) throws InterruptedException {
        if (asked && !hooks.isEmpty()) begin();
        Thread t;
        synchronized (this) {
            t = thread;
        }
        if (t != null) t.join();
    }
}
