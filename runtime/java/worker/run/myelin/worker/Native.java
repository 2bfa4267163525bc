package run.myelin.worker;

import java.io.IOException;
import java.nio.ByteBuffer;

/** What native.c does; its comments say what each does. */
final class Native {
    private Native() {}

    static native ByteBuffer map(int fd, long size, int wake, int bell, int second) throws IOException;

    static native ByteBuffer view(long offset, int length);

    static native long offset(ByteBuffer buffer);

    static native void await();

    static native void ring(boolean second);

    static native void wake();

    static native int receive(byte[] data, int[] files) throws IOException;

    static native void send(byte[] message) throws IOException;

    static native void read(int fd, long at, byte[] into) throws IOException;

    static native void sendFile(byte[] message, byte[] meta, byte[] body, int at, int length) throws IOException;

    static native void close(int fd);

    static native void watch() throws IOException;
}
