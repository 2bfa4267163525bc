package run.myelin.worker;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.List;
import java.util.concurrent.CompletionStage;
import run.myelin.BatchHandler;
import run.myelin.Context;
import run.myelin.Event;
import run.myelin.MyelinHandler;

/** The function's object, whichever interface it has. */
interface Function {
    Object handle(Context context, Event event) throws Exception;

    /** Answers a batch; only of a function that takes batches. */
    Object handleBatch(Context context, List<Event> events) throws Exception;

    boolean takesBatches();

    void init(Context context) throws Exception;

    void close() throws Exception;

    /** Tells whether the handler says that it answers later. */
    boolean asynchronous();

    static boolean fits(Class<?> c) {
        return !c.isInterface() && !Modifier.isAbstract(c.getModifiers())
            && (MyelinHandler.class.isAssignableFrom(c) || io.nuclio.EventHandler.class.isAssignableFrom(c));
    }

    static Function of(Object o) {
        return o instanceof MyelinHandler h ? new Own(h) : new Nuclio((io.nuclio.EventHandler) o);
    }

    record Own(MyelinHandler of) implements Function {
        @Override
        public Object handle(Context context, Event event) throws Exception {
            return of.handle(context, event);
        }

        @Override
        public Object handleBatch(Context context, List<Event> events) throws Exception {
            return ((BatchHandler) of).handleBatch(context, events);
        }

        @Override
        public boolean takesBatches() {
            return of instanceof BatchHandler;
        }

        @Override
        public void init(Context context) throws Exception {
            of.init(context);
        }

        @Override
        public void close() throws Exception {
            of.close();
        }

        @Override
        public boolean asynchronous() {
            for (Method m : of.getClass().getMethods()) {
                if ((m.getName().equals("handle") || m.getName().equals("handleBatch")) && m.getParameterCount() == 2 && CompletionStage.class.isAssignableFrom(m.getReturnType())) return true;
            }
            return false;
        }
    }

    /** A function for Nuclio; a public initContext(Context) is its init hook if it has one. */
    record Nuclio(io.nuclio.EventHandler of) implements Function {
        @Override
        public Object handle(Context context, Event event) {
            return of.handleEvent(context, event);
        }

        @Override
        public Object handleBatch(Context context, List<Event> events) {
            throw new UnsupportedOperationException("the function takes no batches");
        }

        @Override
        public boolean takesBatches() {
            return false;
        }

        @Override
        public void init(Context context) throws Exception {
            Method hook;
            try {
                hook = of.getClass().getMethod("initContext", io.nuclio.Context.class);
            } catch (NoSuchMethodException none) {
                return;
            }
            hook.setAccessible(true);
            try {
                hook.invoke(of, context);
            } catch (InvocationTargetException e) {
                throw e.getCause() instanceof Exception own ? own : e;
            }
        }

        @Override
        public void close() throws Exception {
            if (of instanceof AutoCloseable c) c.close();
        }

        @Override
        public boolean asynchronous() {
            return false;
        }
    }
}
