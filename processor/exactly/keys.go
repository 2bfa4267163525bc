package exactly

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/trigger"
)

// NewKeys keeps a function's state in a binding of class kv, which has no
// transaction with the position. Instead each value says which event of its
// shard wrote it, and what was there before: an event that runs again finds what
// it found, and one behind which others have written changes nothing. Keys begin
// with the function's name.
func NewKeys(kv *data.KV, function string) data.StateStore { return &keys{kv, digest(function) + ":"} }

type keys struct {
	kv     *data.KV
	prefix string
}

// entry is a value as it is kept. An absent value is nil.
type entry struct {
	Value  *[]byte `json:"value,omitempty"`
	Before *[]byte `json:"before,omitempty"` // what was there before the event that wrote it
	Shard  string  `json:"shard,omitempty"`  // of that event
	Offset int64   `json:"offset,omitempty"`
}

// forgotten is how long it is known by which event a value was deleted.
const forgotten = 7 * 24 * time.Hour

func shardOf(a *trigger.Attempt) string {
	return a.At.Topic + "/" + a.At.Source + "/" + strconv.Itoa(int(a.At.Shard))
}

// read returns an entry and its version, which is "" if there is none.
func (k *keys) read(ctx context.Context, key string) (e entry, version string, err error) {
	v, err := k.kv.Get(ctx, k.prefix+key)
	if errors.Is(err, data.NotFound) {
		return e, "", nil
	}
	if err != nil {
		return e, "", err
	}
	if err := json.Unmarshal(v.Data, &e); err != nil {
		return e, "", data.Errorf(data.Misuse, "what is kept under %q is no state: %w", key, err)
	}
	return e, v.Version, nil
}

// Get implements [data.StateStore].
func (k *keys) Get(ctx context.Context, key string) ([]byte, error) {
	e, _, err := k.read(ctx, key)
	if err != nil {
		return nil, err
	}
	value := e.Value
	if a := trigger.AttemptOf(ctx); a != nil && e.Shard == shardOf(a) && e.Offset == a.At.Offset && !a.Wrote(key) {
		value = e.Before
	}
	if value == nil {
		return nil, data.Errorf(data.NotFound, "nothing is remembered under %q", key)
	}
	return *value, nil
}

// Put implements [data.StateStore].
func (k *keys) Put(ctx context.Context, key string, value []byte) error {
	return k.set(ctx, key, &value)
}

// Delete implements [data.StateStore].
func (k *keys) Delete(ctx context.Context, key string) error { return k.set(ctx, key, nil) }

func (k *keys) set(ctx context.Context, key string, value *[]byte) error {
	a := trigger.AttemptOf(ctx)
	for try := 1; ; try++ {
		e, version, err := k.read(ctx, key)
		if err != nil {
			return err
		}
		next := entry{Value: value, Before: e.Value}
		if a != nil {
			next.Shard, next.Offset = shardOf(a), a.At.Offset
			switch {
			case e.Shard != next.Shard:
			case e.Offset > next.Offset: // the event counted before, and others after it
				return nil
			case e.Offset == next.Offset:
				next.Before = e.Before
			}
		}
		if err = k.write(ctx, key, next, version); err == nil && a != nil {
			a.Writes(key)
		}
		if !errors.Is(err, data.Conflict) || try == tries {
			return err
		}
	}
}

func (k *keys) write(ctx context.Context, key string, e entry, version string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	options := []data.Option{data.IfVersion(version)}
	if e.Value == nil {
		options = append(options, data.TTL(forgotten))
	}
	_, err = k.kv.Put(ctx, k.prefix+key, text, options...)
	return err
}
