package run.myelin.worker;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/**
 * How threads wait for the processor, of which there is one bell: one of those that wait hears it and tells the others. Each
 * waits for news of its own, which it sees in the shared memory. A virtual thread does not hear the bell, because it would
 * keep the thread that carries it from others: a thread is there for that.
 */
final class Waiting {
    private static final MethodHandle IS_VIRTUAL = isVirtual(); // null before Java 21

    private final Channel channel;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition woken = lock.newCondition();
    private final List<BooleanSupplier> waiting = new CopyOnWriteArrayList<>();
    private boolean listening; // somebody hears the bell; guarded by lock, as are the others
    private int deaf;          // virtual threads that wait
    private boolean helper;    // the thread that hears it for them is there

    Waiting(Channel channel) {
        this.channel = channel;
    }

    private static MethodHandle isVirtual() {
        try {
            return MethodHandles.publicLookup().findVirtual(Thread.class, "isVirtual", MethodType.methodType(boolean.class));
        } catch (ReflectiveOperationException older) {
            return null;
        }
    }

    private static boolean virtual() {
        try {
            return IS_VIRTUAL != null && (boolean) IS_VIRTUAL.invokeExact(Thread.currentThread());
        } catch (Throwable t) {
            throw new IllegalStateException(t);
        }
    }

    /** Returns once there is news. Interrupts are left for the caller. */
    void await(BooleanSupplier news) {
        if (news.getAsBoolean()) return;
        channel.ring(); // what this thread has answered does not wait with it
        boolean hears = !virtual();
        waiting.add(news);
        lock.lock();
        if (!hears) help();
        try {
            while (!news.getAsBoolean()) {
                if (listening || !hears) woken.awaitUninterruptibly();
                else listen(news);
            }
        } finally {
            if (!hears) deaf--;
            waiting.remove(news);
            woken.signalAll(); // somebody else has to hear the bell from now on
            lock.unlock();
        }
    }

    private void listen(BooleanSupplier own) {
        listening = true;
        lock.unlock();
        try {
            boolean others = channel.sleep(this::any);
            if (others && !own.getAsBoolean()) Thread.yield(); // they are about to see it themselves
        } finally {
            lock.lock();
            listening = false;
            woken.signalAll();
        }
    }

    private boolean any() {
        for (BooleanSupplier news : waiting) if (news.getAsBoolean()) return true;
        return false;
    }

    private void help() {
        deaf++;
        woken.signalAll();
        if (helper) return;
        helper = true;
        Thread t = new Thread(this::hear, "myelin-bell");
        t.setDaemon(true);
        t.start();
    }

    /** Hears the bell for virtual threads, while there are any that wait. */
    private void hear() {
        lock.lock();
        try {
            for (;;) {
                if (listening || deaf == 0) woken.awaitUninterruptibly();
                else listen(() -> false);
            }
        } finally {
            lock.unlock();
        }
    }
}
