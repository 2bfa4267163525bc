package run.myelin;

/**
 * A function, in Myelin's own form. The class has a public constructor without parameters; each worker makes one
 * object of it, calls init once, and then handle for each event, from one thread unless the function asked for
 * more (runtimeAttributes.threads).
 */
@FunctionalInterface
public interface MyelinHandler {
    /**
     * Answers one event: with a String, byte[], ByteBuffer, {@link Response}, null, a value for JSON (Map, List,
     * array, Number, Boolean, record), something that gives a body in parts ({@link StreamBody}, InputStream, Iterator,
     * java.util.stream.Stream, Flow.Publisher), or a CompletionStage of any of these. What it throws is the event's
     * outcome: 500, or the status of an {@link HttpError}.
     */
    Object handle(Context context, Event event) throws Exception;

    /** Is called once, before the first event. If it throws, the function is not deployed. */
    default void init(Context context) throws Exception {}

    /** Is called once, after the last event, when the worker is stopped in order. */
    default void close() throws Exception {}
}
