package nats

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding/data"
)

// Get implements [data.KeyStore].
func (s *store) Get(ctx context.Context, key string) (v data.Value, err error) {
	err = s.call(func() error {
		e, err := s.kv.Get(ctx, encode(key))
		if err != nil {
			return err
		}
		v = data.Value{Data: e.Value(), Version: strconv.FormatUint(e.Revision(), 10)}
		if v.Data == nil {
			v.Data = []byte{}
		}
		return nil
	})
	return v, err
}

// Put implements [data.KeyStore].
func (s *store) Put(ctx context.Context, key string, value []byte, o data.Put) (version string, err error) {
	err = s.call(func() error {
		var at uint64
		var err error
		switch {
		case o.If == nil:
			at, err = s.write(ctx, key, value, o.TTL)
		case *o.If == "":
			at, err = s.create(ctx, key, value, o.TTL)
		default:
			var old uint64
			if old, err = revision(*o.If); err == nil {
				at, err = s.write(ctx, key, value, o.TTL, jetstream.WithExpectLastSequencePerSubject(old))
			}
		}
		version = strconv.FormatUint(at, 10)
		return err
	})
	return version, err
}

// revision is the place that a version names. Who has none that can be has
// another version than the key.
func revision(version string) (uint64, error) {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil || n == 0 {
		return 0, data.Errorf(data.Conflict, "the key is in another version")
	}
	return n, nil
}

// write publishes a value as the client's own Put does, which knows no times.
func (s *store) write(ctx context.Context, key string, value []byte, ttl time.Duration, opts ...jetstream.PublishOpt) (uint64, error) {
	if ttl > 0 {
		opts = append(opts, jetstream.WithMsgTTL(whole(ttl)))
	}
	m := &nats.Msg{Subject: "$KV." + s.bucket + "." + encode(key), Data: value, Header: nats.Header{}}
	ack, err := s.js.PublishMsg(ctx, m, opts...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// create writes a key that is not there.
func (s *store) create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	var opts []jetstream.KVCreateOpt
	if ttl > 0 {
		opts = append(opts, jetstream.KeyTTL(whole(ttl)))
	}
	return s.kv.Create(ctx, encode(key), value, opts...)
}

// whole rounds up to what NATS counts in: seconds.
func whole(ttl time.Duration) time.Duration {
	return (ttl + time.Second - 1) / time.Second * time.Second
}

// Delete implements [data.KeyStore]. It leaves a marker for those who watch,
// which ends by itself where the bucket has times.
func (s *store) Delete(ctx context.Context, key string, by *string) error {
	return s.call(func() error {
		var opts []jetstream.KVDeleteOpt
		switch {
		case by == nil:
		case *by == "":
			_, err := s.kv.Get(ctx, encode(key))
			if err == nil {
				return data.Errorf(data.Conflict, "the key is there")
			}
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				return nil
			}
			return err
		default:
			old, err := revision(*by)
			if err != nil {
				return err
			}
			opts = append(opts, jetstream.LastRevision(old))
		}
		if s.stream.CachedInfo().Config.AllowMsgTTL {
			opts = append(opts, jetstream.PurgeTTL(markers))
		}
		return s.kv.Purge(ctx, encode(key), opts...)
	})
}

// Add implements [data.KeyAdder]: it tries until nobody comes between.
func (s *store) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (sum int64, err error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err = s.call(func() error {
			sum, err = s.addOnce(ctx, key, delta, ttl)
			return err
		})
		if !errors.Is(err, data.Conflict) {
			return sum, err
		}
		timer := time.NewTimer(rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, data.As(data.Timeout, ctx.Err())
		}
	}
}

func (s *store) addOnce(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, "$KV."+s.bucket+"."+encode(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && ended(m) {
		_, err := s.create(ctx, key, strconv.AppendInt(nil, delta, 10), ttl)
		return delta, err
	}
	if err != nil {
		return 0, err
	}
	sum, err := data.Sum(m.Data, delta)
	if err != nil {
		return 0, err
	}
	if ttl == 0 {
		ttl = left(m)
	}
	_, err = s.write(ctx, key, strconv.AppendInt(nil, sum, 10), ttl, jetstream.WithExpectLastSequencePerSubject(m.Sequence))
	return sum, err
}

// ended says whether a message tells of a key's end.
func ended(m *jetstream.RawStreamMsg) bool {
	return m.Header.Get("KV-Operation") != "" || m.Header.Get(jetstream.MarkerReasonHeader) != ""
}

// left is how long a key has yet, which writing it would take from it; 0 if it
// stays.
func left(m *jetstream.RawStreamMsg) time.Duration {
	ttl, err := time.ParseDuration(m.Header.Get(jetstream.MsgTTLHeader))
	if err != nil {
		return 0
	}
	return max(time.Until(m.Time.Add(ttl)), time.Second)
}

// Scan implements [data.KeyScanner]. A bucket knows no order: all keys are looked
// at for each page, of which no more are kept than are asked for.
func (s *store) Scan(ctx context.Context, prefix, after string, limit int) (keys []string, err error) {
	err = s.call(func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w, err := s.kv.WatchAll(ctx, jetstream.IgnoreDeletes(), jetstream.MetaOnly())
		if err != nil {
			return err
		}
		defer func() { _ = w.Stop() }()
		for {
			select {
			case e, open := <-w.Updates():
				switch {
				case !open:
					return lost(ctx)
				case e == nil:
					keys = first(keys, limit)
					return nil
				}
				if key, ok := decode(e.Key()); ok && key > after && strings.HasPrefix(key, prefix) {
					if keys = append(keys, key); len(keys) >= 2*limit+1000 {
						keys = first(keys, limit)
					}
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return keys, err
}

func first(keys []string, limit int) []string {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return keys[:min(limit, len(keys))]
}

// lost says why a list of changes ended.
func lost(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return data.Errorf(data.Away, "the connection to NATS was lost")
}

// Watch implements [data.KeyWatcher]. The client would go on after a loss of the
// connection, but could not say that what was read is old meanwhile.
func (s *store) Watch(ctx context.Context, prefix string, tell func(data.Change)) error {
	return s.call(func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		status := s.conn.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		defer s.conn.RemoveStatusListener(status)
		w, err := s.kv.WatchAll(ctx, jetstream.UpdatesOnly(), jetstream.MetaOnly())
		if err != nil {
			return err
		}
		defer func() { _ = w.Stop() }()
		tell(data.Change{})
		for {
			select {
			case e, open := <-w.Updates():
				if !open {
					return lost(ctx)
				}
				if e != nil {
					report(e, prefix, tell)
				}
			case <-status:
				return lost(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

func report(e jetstream.KeyValueEntry, prefix string, tell func(data.Change)) {
	key, ok := decode(e.Key())
	if !ok || !strings.HasPrefix(key, prefix) {
		return
	}
	c := data.Change{Key: key}
	if e.Operation() == jetstream.KeyValuePut {
		c.Version = strconv.FormatUint(e.Revision(), 10)
	}
	tell(c)
}
