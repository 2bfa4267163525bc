package run.myelin;

import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Values by key. A value that is written is a String, byte[] or ByteBuffer, or becomes JSON. */
public interface Kv extends Binding {
    /** The value of a key; null if there is none. */
    byte[] get(String key, With... with);

    /** The same with its version. */
    Stored entry(String key, With... with);

    /** What the spec's prefetch has as a name; null if there is none, or the event has written since. */
    byte[] fetched(String name, With... with);

    /** Sets a value and returns its version. */
    String put(String key, Object value, With... with);

    void delete(String key, With... with);

    /** The keys that begin with a prefix. */
    List<String> scan(String prefix, With... with);

    /** Adds to a number, 0 if there is none, and returns the sum. */
    long add(String key, long delta, With... with);

    /** Does what get does without waiting. */
    CompletableFuture<byte[]> getAsync(String key, With... with);

    /** Does what put does without waiting. */
    CompletableFuture<String> putAsync(String key, Object value, With... with);
}
