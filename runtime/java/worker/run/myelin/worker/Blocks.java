package run.myelin.worker;

import java.util.ArrayDeque;
import java.util.function.IntUnaryOperator;

/**
 * Which slot's last response is in which block. An older response of the same slot was consumed before the slot was
 * used again; under pressure, what consumed(slot) tells of other slots is freed too.
 */
final class Blocks {
    record Block(int offset, int order) {}

    private static final Block IN_SLOT = new Block(-1, 0);

    private final Arena arena;
    private final Block[] held;
    private final int[] generation;
    private final ArrayDeque<Block>[] parts; // of each slot's stream, the oldest first
    private final IntUnaryOperator consumed;

    @SuppressWarnings({"unchecked", "rawtypes"})
    Blocks(int length, int slots, IntUnaryOperator consumed) {
        arena = new Arena(length);
        held = new Block[slots];
        generation = new int[slots];
        parts = new ArrayDeque[slots];
        this.consumed = consumed;
    }

    /** Frees what a slot has. */
    void drop(int slot) {
        if (held[slot] != null) {
            arena.give(held[slot].offset, held[slot].order);
            held[slot] = null;
        }
        if (parts[slot] != null) dropParts(slot, parts[slot].size());
    }

    /** Frees the n oldest parts of a slot's stream. */
    void dropParts(int slot, int n) {
        if (parts[slot] == null) return;
        for (; n > 0 && !parts[slot].isEmpty(); n--) {
            Block b = parts[slot].poll();
            if (b != IN_SLOT) arena.give(b.offset, b.order);
        }
    }

    private void sweep() {
        for (int i = 0; i < held.length; i++) {
            boolean any = held[i] != null || parts[i] != null && !parts[i].isEmpty();
            if (any && consumed.applyAsInt(i) == generation[i]) drop(i);
        }
    }

    /** A block for something else than a response; null if there is none. */
    Block borrow(int bytes) {
        int order = Arena.order(bytes), offset = arena.take(order);
        if (offset < 0) {
            sweep();
            offset = arena.take(order);
        }
        return offset < 0 ? null : new Block(offset, order);
    }

    void giveBack(Block b) {
        arena.give(b.offset, b.order);
    }

    /** Takes a block for a response and returns its offset, or -1. */
    int take(int slot, int gen, int bytes) {
        drop(slot);
        Block b = borrow(bytes);
        held[slot] = b;
        generation[slot] = gen;
        return b == null ? -1 : b.offset;
    }

    /** Takes a block for a part of a stream, beside those that are not freed. */
    int takePart(int slot, int gen, int bytes) {
        Block b = borrow(bytes);
        if (b == null) return -1;
        addPart(slot, gen, b);
        return b.offset;
    }

    /** Notes a part that lies in the slot itself. */
    void partInSlot(int slot, int gen) {
        addPart(slot, gen, IN_SLOT);
    }

    private void addPart(int slot, int gen, Block b) {
        if (parts[slot] == null) parts[slot] = new ArrayDeque<>();
        parts[slot].add(b);
        generation[slot] = gen;
    }
}
