package run.myelin;

import java.io.OutputStream;

/**
 * A body that is written in parts. What is written is sent when it is flushed, or when 64 KiB are together; write waits while the
 * reader is behind, and throws an IOException when it has gone.
 */
@FunctionalInterface
public interface StreamBody {
    void writeTo(OutputStream out) throws Exception;
}
