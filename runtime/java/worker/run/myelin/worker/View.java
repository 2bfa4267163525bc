package run.myelin.worker;

import java.nio.ByteBuffer;

/** The body of a request as the function sees it in place. */
final class View {
    final ByteBuffer memory; // of this view alone: whoever keeps a part of it keeps it
    final int bytes;         // of the processor's arena

    View(ByteBuffer memory, int bytes) {
        this.memory = memory;
        this.bytes = bytes;
    }
}
