package data

import (
	"context"
	"fmt"
)

// KeysGetter is implemented by key stores that read many keys at once faster than
// one by one. For each there is a value or an error.
type KeysGetter interface {
	GetAll(ctx context.Context, keys []string) ([]Value, []error)
}

// Many reports whether many keys are better read by SharedAll.
func (k *KV) Many() bool {
	_, ok := k.store.(KeysGetter)
	return ok && k.lost == nil
}

// SharedAll is [KV.Shared] of many keys, for a store that is a [KeysGetter], but for
// what was fetched. It counts as one call, kv.many.
func (k *KV) SharedAll(ctx context.Context, keys []string) (values []Value, errs []error) {
	err := k.run(ctx, "kv.many", true, func(ctx context.Context) error {
		values, errs = make([]Value, len(keys)), make([]error, len(keys))
		var good []string
		var at []int
		for i, key := range keys {
			if errs[i] = checkKey(key); errs[i] == nil {
				good, at = append(good, key), append(at, i)
			}
		}
		if len(good) == 0 {
			return nil
		}
		got, failed := k.store.(KeysGetter).GetAll(ctx, good)
		for n, i := range at {
			values[i], errs[i] = got[n], failed[n]
			if errs[i] == nil {
				errs[i] = k.guard.fits(len(got[n].Data))
			}
		}
		for _, err := range failed {
			if r := ReasonOf(Classify(err)); r != 0 && r != NotFound && r != Misuse {
				return err // of all of them: the service is away, or has no time
			}
		}
		return nil
	})
	if errs == nil {
		values, errs = make([]Value, len(keys)), make([]error, len(keys))
	}
	for i := range errs {
		if err != nil {
			values[i], errs[i] = Value{}, err
		} else if errs[i] != nil {
			values[i], errs[i] = Value{}, fmt.Errorf("kv.get of binding %s: %w", k.guard.Name, errs[i])
		}
	}
	return values, errs
}
