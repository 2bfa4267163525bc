package run.myelin;

import java.util.Map;

/** What a function has besides the event. */
public interface Context extends io.nuclio.Context {
    /** What the function put aside with {@link #setUserData}; the same for all events of a worker. */
    <T> T getUserData();

    void setUserData(Object data);

    /** What the function may ask of the platform, such as to call another function. */
    Platform getPlatform();

    /**
     * The data binding of that name, as what it is: {@code Kv orders = context.binding("orders")}. A name that is none is a
     * {@link BindingError}. Its calls belong to the event, and end with it.
     */
    <T extends Binding> T binding(String name);

    /** The function's data bindings by name. */
    Map<String, Binding> bindings();

    /** What the function remembers from event to event, if spec.state names a binding; else this is a {@link BindingError}. */
    State state();

    /**
     * Has hook run once when the processor begins to drain: a new version takes its place, or it stops. To be called in
     * init. Events that the processor took still run, and may at the same time; no new ones come. The processor waits for
     * the hook, but no longer than its drain deadline. What it throws is logged.
     */
    void onDrain(Runnable hook);

    /** The number of this worker in its pool, from 0. */
    int getWorkerId();

    String getFunctionName();

    /** The kind of the trigger that this worker serves first. */
    String getTriggerKind();

    String getTriggerName();
}
