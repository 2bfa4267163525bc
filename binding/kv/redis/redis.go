// Package redis is the binding of class kv that keeps keys in Redis, as plain
// strings that any other client may read and write. It holds what is peculiar to
// Redis: scripts for conditions, and what its replies mean.
package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // it tells versions apart, and is what Redis has
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/redisclient"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
)

// Kind is the binding's name in a set.
const Kind = "kv/redis"

// Config is the binding's attributes. Its url is redis://user@host:port/db, or
// rediss:// with TLS, its secret the password, and its path what all keys begin
// with.
type Config struct {
	binding.Limits
	// CAFile has the authorities to trust, in PEM. Default: the system's.
	CAFile string `json:"caFile,omitempty"`
}

func defaults() Config { return Config{Limits: binding.DefaultLimits()} }

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	return es.Err()
}

// Factory makes Redis bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps keys in Redis.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	client, err := redisclient.New(s, c.Limits, c.CAFile)
	if err != nil {
		return nil, err
	}
	st := &store{Client: client, Limits: c.Limits, prefix: s.Spec.Path}
	st.gets = newGets(st.askAll)
	return st, nil
}

// store implements [data.KeyStore]. The version of a value is its digest: two
// equal values have one version.
type store struct {
	*redisclient.Client
	binding.Limits
	prefix string
	gets   *gets
}

func version(value []byte) string {
	sum := sha1.Sum(value) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// Changes on a condition. The version is looked at where nothing comes between.
var (
	swap = redis.NewScript(`local v = redis.call('GET', KEYS[1])
if not v or redis.sha1hex(v) ~= ARGV[2] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
return 1`)
	drop = redis.NewScript(`local v = redis.call('GET', KEYS[1])
if v and redis.sha1hex(v) ~= ARGV[1] or not v and ARGV[1] ~= '' then return 0 end
redis.call('DEL', KEYS[1])
return 1`)
	count = redis.NewScript(`local n = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return n`)
)

// Put implements [data.KeyStore].
func (s *store) Put(ctx context.Context, key string, value []byte, o data.Put) (string, error) {
	db, err := s.DB()
	if err != nil {
		return "", err
	}
	ttl := lasting(o.TTL)
	done := true
	switch {
	case o.If == nil:
		err = db.Set(ctx, s.prefix+key, value, ttl).Err()
	case *o.If == "":
		err = db.SetArgs(ctx, s.prefix+key, value, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
		if errors.Is(err, redis.Nil) {
			done, err = false, nil
		}
	default:
		done, err = swap.Run(ctx, db, []string{s.prefix + key}, value, *o.If, ttl.Milliseconds()).Bool()
	}
	switch {
	case err != nil:
		return "", redisclient.Reason(err)
	case !done:
		return "", data.Errorf(data.Conflict, "the key is in another version")
	}
	return version(value), nil
}

// PutAll implements [data.KeyPutter]: all go to the server at once, and it says of
// each how it went.
func (s *store) PutAll(ctx context.Context, all []data.Pair) []error {
	errs := make([]error, len(all))
	db, err := s.DB()
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	said := make([]*redis.StatusCmd, len(all))
	_, _ = db.Pipelined(ctx, func(p redis.Pipeliner) error { // each has its own error
		for i, one := range all {
			said[i] = p.Set(ctx, s.prefix+one.Key, one.Value, lasting(one.TTL))
		}
		return nil
	})
	for i, one := range said {
		errs[i] = redisclient.Reason(one.Err())
	}
	return errs
}

// lasting is a time as the server takes it: whole milliseconds, 0 for ever.
func lasting(ttl time.Duration) time.Duration {
	if ttl > 0 {
		return max(ttl, time.Millisecond)
	}
	return 0
}

// Delete implements [data.KeyStore].
func (s *store) Delete(ctx context.Context, key string, by *string) error {
	db, err := s.DB()
	if err != nil {
		return err
	}
	if by == nil {
		return redisclient.Reason(db.Del(ctx, s.prefix+key).Err())
	}
	done, err := drop.Run(ctx, db, []string{s.prefix + key}, *by).Bool()
	if err == nil && !done {
		return data.Errorf(data.Conflict, "the key is in another version")
	}
	return redisclient.Reason(err)
}

// Add implements [data.KeyAdder].
func (s *store) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (sum int64, err error) {
	db, err := s.DB()
	if err != nil {
		return 0, err
	}
	if ttl == 0 {
		sum, err = db.IncrBy(ctx, s.prefix+key, delta).Result()
	} else {
		sum, err = count.Run(ctx, db, []string{s.prefix + key}, delta, max(1, ttl.Milliseconds())).Int64()
	}
	return sum, redisclient.Reason(err)
}

// pattern matches what begins with a text and nothing else.
var pattern = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// Scan implements [data.KeyScanner]. Redis knows no order: all keys with the
// prefix are looked at for each page, of which no more are kept than are asked for.
func (s *store) Scan(ctx context.Context, prefix, after string, limit int) (keys []string, err error) {
	db, err := s.DB()
	if err != nil {
		return nil, err
	}
	it := db.Scan(ctx, 0, pattern.Replace(s.prefix+prefix)+"*", 1000).Iterator()
	for it.Next(ctx) {
		key := strings.TrimPrefix(it.Val(), s.prefix)
		if key <= after {
			continue
		}
		if keys = append(keys, key); len(keys) >= 2*limit+1000 {
			keys = first(keys, limit)
		}
	}
	return first(keys, limit), redisclient.Reason(it.Err())
}

func first(keys []string, limit int) []string {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return keys[:min(limit, len(keys))]
}
