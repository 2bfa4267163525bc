package data

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxKey is the most bytes of a key.
const MaxKey = 512

// Value is what is kept under a key. Data is the caller's own.
type Value struct {
	Data    []byte
	Version string // opaque; another one after each change
}

// Put says under which conditions a value is written.
type Put struct {
	TTL time.Duration // 0: it stays
	// If is the version that the write replaces; "" stands for none: the key must
	// not be there. nil: whatever is there.
	If *string
}

// KeyStore is what a driver of the class kv is. Its methods are called by many
// goroutines at once. Keys have been checked. A missing key is [NotFound], a
// condition that does not hold [Conflict].
type KeyStore interface {
	Get(ctx context.Context, key string) (Value, error)
	// Put returns the new version.
	Put(ctx context.Context, key string, value []byte, o Put) (string, error)
	// Delete of a key that is not there is no error, unless by is a version.
	Delete(ctx context.Context, key string, by *string) error
}

// KeyScanner is implemented by key stores that can list their keys.
type KeyScanner interface {
	// Scan returns up to limit keys that begin with prefix and sort after
	// after, in the order of their bytes.
	Scan(ctx context.Context, prefix, after string, limit int) ([]string, error)
}

// KeyAdder is implemented by key stores that can count.
type KeyAdder interface {
	// Add adds to the decimal number under key, or to 0, and returns the sum.
	// With a TTL the key ends that long from now, else it stays as it was.
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

// Option is a condition or wish of a write.
type Option func(*Put)

// TTL lets what is written end after d.
func TTL(d time.Duration) Option { return func(p *Put) { p.TTL = d } }

// IfVersion writes only over this version.
func IfVersion(v string) Option { return func(p *Put) { p.If = &v } }

// IfAbsent writes only if nothing is there.
func IfAbsent() Option { return IfVersion("") }

func gather(opts []Option) (p Put) {
	for _, o := range opts {
		o(&p)
	}
	return p
}

// KV is a binding of the class kv, for functions. Any goroutine may use it.
type KV struct {
	handle
	store KeyStore
	peek  KeyPeeker // nil if the store has nothing at hand
	later *Guard    // of writes without a condition
}

// NewKV makes the handle of a driver, bounded by g, which may be nil.
func NewKV(s KeyStore, g *Guard) *KV {
	peek, _ := s.(KeyPeeker)
	h := guarded(g)
	return &KV{h, s, peek, h.guard.deferred(s)}
}

// LostKV is a handle whose calls all fail with err.
func LostKV(err error) *KV { return &KV{handle: handle{lost: err}} }

// Get returns what is kept under key; a key that is not there is [NotFound].
func (k *KV) Get(ctx context.Context, key string) (Value, error) {
	v, err := k.Shared(ctx, key)
	if err != nil {
		return Value{}, err
	}
	v.Data = own(k.peek != nil || k.guard.Fetches, v.Data)
	return v, nil
}

// Put keeps value under key and returns its version.
func (k *KV) Put(ctx context.Context, key string, value []byte, opts ...Option) (version string, err error) {
	if k.lost != nil {
		return "", k.lost
	}
	o, g := gather(opts), k.guard
	if o.If == nil {
		g = k.later
	}
	defer k.wrote(ctx, key)
	err = g.run(ctx, "kv.put", o.If == nil, func(ctx context.Context) (err error) {
		if err := checkKey(key); err != nil {
			return err
		}
		if o.TTL < 0 {
			return Errorf(Misuse, "ttl is %s, expected 0s or more", o.TTL)
		}
		if err := k.guard.fits(len(value)); err != nil {
			return err
		}
		version, err = k.store.Put(ctx, key, value, o)
		return err
	})
	return version, err
}

// Delete removes a key, with [IfVersion] only that version of it.
func (k *KV) Delete(ctx context.Context, key string, opts ...Option) error {
	o := gather(opts)
	defer k.wrote(ctx, key)
	return k.run(ctx, "kv.delete", o.If == nil, func(ctx context.Context) error {
		if err := checkKey(key); err != nil {
			return err
		}
		return k.store.Delete(ctx, key, o.If)
	})
}

// MaxScan is the most keys or objects that one call lists.
const MaxScan = 10000

// Scan returns up to limit keys that begin with prefix and sort after after, in
// the order of their bytes. A limit of 0 is 1000.
func (k *KV) Scan(ctx context.Context, prefix, after string, limit int) (keys []string, err error) {
	err = k.run(ctx, "kv.scan", true, func(ctx context.Context) (err error) {
		s, ok := k.store.(KeyScanner)
		if !ok {
			return Errorf(Unsupported, "this kind of kv cannot scan")
		}
		if limit, err = checkLimit(limit); err != nil {
			return err
		}
		keys, err = s.Scan(ctx, prefix, after, limit)
		return err
	})
	return keys, err
}

// Add adds delta to the decimal number under key, or to 0, and returns the sum.
func (k *KV) Add(ctx context.Context, key string, delta int64, opts ...Option) (sum int64, err error) {
	o := gather(opts)
	defer k.wrote(ctx, key)
	err = k.run(ctx, "kv.add", false, func(ctx context.Context) (err error) {
		a, ok := k.store.(KeyAdder)
		switch {
		case !ok:
			return Errorf(Unsupported, "this kind of kv cannot add")
		case o.If != nil:
			return Errorf(Misuse, "add takes no version")
		case o.TTL < 0:
			return Errorf(Misuse, "ttl is %s, expected 0s or more", o.TTL)
		}
		if err := checkKey(key); err != nil {
			return err
		}
		sum, err = a.Add(ctx, key, delta, o.TTL)
		return err
	})
	return sum, err
}

func checkKey(key string) error {
	switch {
	case key == "":
		return Errorf(Misuse, "the key is empty")
	case len(key) > MaxKey:
		return Errorf(Misuse, "key of %d bytes, at most %d are possible", len(key), MaxKey)
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return Errorf(Misuse, "key %q is not text", key)
	}
	return nil
}

func checkLimit(limit int) (int, error) {
	switch {
	case limit == 0:
		return 1000, nil
	case limit < 0 || limit > MaxScan:
		return 0, Errorf(Misuse, "limit %d is not from 1 to %d", limit, MaxScan)
	}
	return limit, nil
}

// Sum adds delta to a decimal number, for drivers whose service cannot count.
func Sum(number []byte, delta int64) (int64, error) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	switch {
	case err != nil:
		return 0, Errorf(Misuse, "the value is no whole number")
	case delta > 0 && n > math.MaxInt64-delta, delta < 0 && n < math.MinInt64-delta:
		return 0, Errorf(Misuse, "the sum is above what 64 bits hold")
	}
	return n + delta, nil
}
