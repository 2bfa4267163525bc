package data

import (
	"context"
	"sync"
	"time"
)

// Pair is one of many writes of keys.
type Pair struct {
	Key   string
	Value []byte
	TTL   time.Duration // 0: it stays
}

// KeyPutter is implemented by key stores that make many writes at once. No key
// is there twice. The answer has an entry for each of them, nil if it was done.
type KeyPutter interface {
	PutAll(ctx context.Context, all []Pair) []error
}

// atOnce is how many writes run at once in a store that makes one at a time.
const atOnce = 16

// PutAll makes many writes: by the store, or one by one.
func PutAll(ctx context.Context, s KeyStore, all []Pair) []error {
	if p, ok := s.(KeyPutter); ok {
		return p.PutAll(ctx, all)
	}
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, len(all)) {
		wg.Go(func() {
			for i := range next {
				_, errs[i] = s.Put(ctx, all[i].Key, all[i].Value, Put{TTL: all[i].TTL})
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	return errs
}

// PutAll keeps many values, of which no two have one key; there is an error, or
// nil, for each.
func (k *KV) PutAll(ctx context.Context, all []Pair) (errs []error) {
	err := k.run(ctx, "kv.flush", true, func(ctx context.Context) error {
		errs = PutAll(ctx, k.store, all)
		for _, err := range errs {
			if ReasonOf(Classify(err)) == Away {
				return err
			}
		}
		return nil
	})
	if errs == nil {
		errs = make([]error, len(all))
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}
