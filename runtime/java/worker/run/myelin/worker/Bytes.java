package run.myelin.worker;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.util.Arrays;

/** Bytes that are laid out one after another, little endian, in an array that grows. */
final class Bytes {
    private ByteBuffer b;

    Bytes(int room) {
        b = ByteBuffer.allocate(room).order(ByteOrder.LITTLE_ENDIAN);
    }

    private ByteBuffer room(int n) {
        if (b.remaining() < n) {
            byte[] more = Arrays.copyOf(b.array(), Math.max(2 * b.capacity(), b.position() + n));
            b = ByteBuffer.wrap(more).order(ByteOrder.LITTLE_ENDIAN).position(b.position());
        }
        return b;
    }

    Bytes u8(int v) {
        room(1).put((byte) v);
        return this;
    }

    Bytes u32(int v) {
        room(4).putInt(v);
        return this;
    }

    Bytes i64(long v) {
        room(8).putLong(v);
        return this;
    }

    Bytes raw(byte[] v) {
        room(v.length).put(v);
        return this;
    }

    /** A key and a value, as all pairs of the format are laid out. */
    Bytes pair(byte[] key, byte[] value) {
        return u32(key.length).u32(value.length).raw(key).raw(value);
    }

    byte[] done() {
        return Arrays.copyOf(b.array(), b.position());
    }

    /** Text of at most so many bytes, with a word on what was cut. */
    static byte[] cut(String text, int most) {
        byte[] all = text.getBytes(UTF_8);
        if (all.length <= most) return all;
        return new Bytes(most + 64).raw(Arrays.copyOf(all, most)).raw((" ... (" + (all.length - most) + " bytes cut)").getBytes(UTF_8)).done();
    }

    /** Reads text; bytes that are no UTF-8 are Latin-1. */
    static String text(byte[] of) {
        String s = new String(of, UTF_8);
        if (s.indexOf('\ufffd') < 0) return s;
        try {
            return UTF_8.newDecoder().decode(ByteBuffer.wrap(of)).toString();
        } catch (CharacterCodingException e) {
            return new String(of, ISO_8859_1);
        }
    }
}
