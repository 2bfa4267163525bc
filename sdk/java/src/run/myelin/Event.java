package run.myelin;

import java.nio.ByteBuffer;

/** What a function is called with. It may be kept after it was answered. */
public interface Event extends io.nuclio.Event {
    /**
     * The body without copying it: a read-only buffer over the memory that the processor wrote it to. It stays as it is for
     * as long as the function keeps it or a part of it. A small body, or one of too many that are kept, is copied.
     */
    ByteBuffer bodyBuffer();

    /** The body as text in UTF-8. */
    String text();

    /** The length of the body. */
    int size();

    /** A header's value, whatever the case of its name; null if there is none. */
    String header(String name);

    /** The name of the trigger that brought the event. */
    String getTriggerName();

    /** The topic, queue or subject; "" if the source has none. */
    String getTopic();

    /** The key of the record; empty if it has none. */
    byte[] getKey();

    /** The place in the shard; 0 without one. */
    long getOffset();

    boolean isLastInBatch();
}
