package run.myelin.worker;

import java.util.Arrays;

/**
 * Blocks of the worker's half of the mapping: a binary buddy whose tree holds, for each node, 1 + the order of its
 * largest free block.
 */
final class Arena {
    static final int MIN_BLOCK = 16 << 10;

    private final byte[] tree;
    private final int leaves;

    Arena(int length) {
        leaves = length / MIN_BLOCK;
        tree = new byte[2 * leaves];
        Arrays.fill(tree, leaves, 2 * leaves, (byte) 1);
        for (int i = leaves - 1; i > 0; i--) tree[i] = (byte) (tree[2 * i] + 1);
    }

    /** The order of the smallest block that has so many bytes. */
    static int order(int bytes) {
        return bytes <= MIN_BLOCK ? 0 : 32 - Integer.numberOfLeadingZeros((bytes - 1) / MIN_BLOCK);
    }

    /** Takes a block and returns its offset, or -1. */
    int take(int order) {
        int want = order + 1, node = 1;
        if (tree[1] < want) return -1;
        for (int size = leaves; size > 1 << order; size >>= 1) {
            node *= 2;
            if (tree[node] < want) node++;
        }
        tree[node] = 0;
        int offset = ((node << order) - leaves) * MIN_BLOCK;
        for (node >>= 1; node > 0; node >>= 1) tree[node] = (byte) Math.max(tree[2 * node], tree[2 * node + 1]);
        return offset;
    }

    void give(int offset, int order) {
        int node = (offset / MIN_BLOCK + leaves) >> order, full = order + 1;
        tree[node] = (byte) full;
        for (node >>= 1; node > 0; node >>= 1, full++) {
            int l = tree[2 * node], r = tree[2 * node + 1];
            tree[node] = (byte) (l == full && r == full ? full + 1 : Math.max(l, r));
        }
    }
}
