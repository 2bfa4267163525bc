'use strict';
// Blocks for large responses in the worker's half of the mapping: a binary
// buddy whose tree holds, for each node, 1 + the order of its largest free block.

const MIN_BLOCK = 16 << 10;

class Arena {
  constructor(length) {
    this.leaves = length / MIN_BLOCK;
    this.tree = new Uint8Array(2 * this.leaves).fill(1, this.leaves);
    for (let i = this.leaves - 1; i > 0; i--) this.tree[i] = this.tree[2 * i] + 1;
  }

  static order(bytes) {
    let order = 0;
    while (MIN_BLOCK * 2 ** order < bytes) order++;
    return order;
  }

  /** bytes is how large the block for so many is. */
  static bytes(n) { return MIN_BLOCK * 2 ** Arena.order(n); }

  /** take returns the offset of a block of the order, or -1. */
  take(order) {
    const { tree, leaves } = this;
    const want = order + 1;
    if (tree[1] < want) return -1;
    let node = 1;
    for (let size = leaves; size > 2 ** order; size /= 2) {
      node *= 2;
      if (tree[node] < want) node++;
    }
    tree[node] = 0;
    const offset = (node * 2 ** order - leaves) * MIN_BLOCK;
    for (node >>= 1; node > 0; node >>= 1) tree[node] = Math.max(tree[2 * node], tree[2 * node + 1]);
    return offset;
  }

  give(offset, order) {
    const { tree, leaves } = this;
    let node = (offset / MIN_BLOCK + leaves) >> order;
    let full = order + 1;
    tree[node] = full;
    for (node >>= 1; node > 0; node >>= 1, full++) {
      const l = tree[2 * node], r = tree[2 * node + 1];
      tree[node] = l === full && r === full ? full + 1 : Math.max(l, r);
    }
  }
}

/**
 * Blocks remembers which slot's last response is in which block. An older
 * response of the same slot was consumed before the slot was used again; under
 * pressure, what consumed(slot) tells of other slots is freed too.
 */
class Blocks {
  constructor(length, slots, consumed) {
    this.arena = new Arena(length);
    this.held = new Array(slots).fill(null);
    this.parts = Array.from({ length: slots }, () => []); // of each slot's stream, the oldest first
    this.consumed = consumed;
  }

  drop(slot) {
    const b = this.held[slot];
    if (b !== null) {
      this.arena.give(b.offset, b.order);
      this.held[slot] = null;
    }
    this.dropParts(slot, Infinity);
  }

  /** dropParts frees the n oldest parts of a slot's stream. */
  dropParts(slot, n) {
    const parts = this.parts[slot];
    for (; n > 0 && parts.length > 0; n--) {
      const b = parts.shift();
      if (b !== null) this.arena.give(b.offset, b.order);
    }
  }

  /**
   * sweep frees what the processor says it has consumed. It has consumed what is
   * older than that as well: later responses of the slot may have needed no block.
   */
  sweep() {
    this.held.forEach((b, i) => {
      const last = b === null ? this.parts[i].generation : b.generation;
      if (last !== undefined && ((this.consumed(i) - last) | 0) >= 0) this.drop(i);
    });
  }

  take(slot, generation, bytes) {
    const order = Arena.order(bytes);
    this.drop(slot);
    let offset = this.arena.take(order);
    if (offset < 0) {
      this.sweep();
      offset = this.arena.take(order);
    }
    if (offset >= 0) this.held[slot] = { offset, order, generation };
    return offset;
  }

  /** borrow returns a block for something else than a response, or null. */
  borrow(bytes) {
    const order = Arena.order(bytes);
    let offset = this.arena.take(order);
    if (offset < 0) {
      this.sweep();
      offset = this.arena.take(order);
    }
    return offset < 0 ? null : { offset, order };
  }

  giveBack(b) { this.arena.give(b.offset, b.order); }

  /** takePart is the same for a part of a stream, beside those that are not freed. */
  takePart(slot, generation, bytes) {
    const order = Arena.order(bytes);
    let offset = this.arena.take(order);
    if (offset < 0) {
      this.sweep();
      offset = this.arena.take(order);
    }
    if (offset >= 0) {
      this.parts[slot].push({ offset, order });
      this.parts[slot].generation = generation;
    }
    return offset;
  }
}

module.exports = { Arena, Blocks };
