package run.myelin;

import java.util.concurrent.CompletableFuture;

/** What a function may ask of the platform that it runs on. */
public interface Platform {
    /** Calls another function and waits for its answer, whatever its status; a {@link CallError} if there is none. */
    Answer callFunction(String name, Call call);

    /** Does the same without waiting. */
    CompletableFuture<Answer> callFunctionAsync(String name, Call call);

    /** Acknowledges an event that its handler left open, and waits for that; an {@link AckError} if it is not open here. */
    void ack(Offset offset);

    /** Says that such an event failed: it is tried again as the trigger's retry policy says. */
    void nack(Offset offset, String error);

    /** Says that such an event failed for good: it is given up. */
    void reject(Offset offset, String error);
}
