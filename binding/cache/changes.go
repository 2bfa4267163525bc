package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Words is how many counters [Changes] has. Keys share them: a change of one may
// have others forgotten with it.
const Words = 256

// Changes counts what may have changed of that which caches have, for those in
// other processes that keep values of their own: a value is theirs to use as long
// as the counter of its key stays what it was before the value was read.
type Changes struct {
	seed  maphash.Seed
	words [Words]atomic.Uint32

	mu        sync.Mutex
	followers map[*func(int, uint32)]struct{}
}

// NewChanges returns counters of which none has moved.
func NewChanges() *Changes {
	return &Changes{seed: maphash.MakeSeed(), followers: map[*func(int, uint32)]struct{}{}}
}

// Mark returns where a key is counted, and the count: to be taken before the value
// is read.
func (c *Changes) Mark(binding, key string) (word int, count uint32) {
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(binding) // cannot fail
	_ = h.WriteByte(0)
	_, _ = h.WriteString(key)
	word = int(h.Sum64() % Words)
	return word, c.words[word].Load()
}

// Changed counts a change of a key, once nobody finds its old value any more; "" is
// any.
func (c *Changes) Changed(binding, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key != "" {
		word, _ := c.Mark(binding, key)
		c.move(word)
		return
	}
	for word := range c.words {
		c.move(word)
	}
}

func (c *Changes) move(word int) {
	n := c.words[word].Add(1)
	for set := range c.followers {
		(*set)(word, n)
	}
}

// Follow calls set for each counter that has moved, now and until stop is called:
// never twice at once, and before Changed returns.
func (c *Changes) Follow(set func(word int, count uint32)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for word := range c.words {
		if n := c.words[word].Load(); n != 0 {
			set(word, n)
		}
	}
	c.followers[&set] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.followers, &set)
	}
}
