package etcd

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/myelin-run/myelin/binding/data"
)

// Get implements [data.KeyStore].
func (s *store) Get(ctx context.Context, key string) (v data.Value, err error) {
	if err := s.opened(); err != nil {
		return v, err
	}
	r, err := s.client.Get(ctx, s.prefix+key)
	switch {
	case err != nil:
		return v, reason(err)
	case len(r.Kvs) == 0:
		return v, data.NotFound
	}
	v = data.Value{Data: r.Kvs[0].Value, Version: strconv.FormatInt(r.Kvs[0].ModRevision, 10)}
	if v.Data == nil {
		v.Data = []byte{}
	}
	return v, nil
}

// condition is that of a write of which want is the version, "" for none.
func (s *store) condition(key, want string) (clientv3.Cmp, error) {
	if want == "" {
		return clientv3.Compare(clientv3.CreateRevision(s.prefix+key), "=", 0), nil
	}
	n, err := strconv.ParseInt(want, 10, 64)
	if err != nil || n <= 0 {
		return clientv3.Cmp{}, errOther
	}
	return clientv3.Compare(clientv3.ModRevision(s.prefix+key), "=", n), nil
}

var errOther = data.Errorf(data.Conflict, "the key is in another version")

// Put implements [data.KeyStore].
func (s *store) Put(ctx context.Context, key string, value []byte, o data.Put) (version string, err error) {
	if err := s.opened(); err != nil {
		return "", err
	}
	var conditions []clientv3.Cmp
	if o.If != nil {
		c, err := s.condition(key, *o.If)
		if err != nil {
			return "", err
		}
		conditions = append(conditions, c)
	}
	lease, err := s.lease(ctx, o.TTL)
	if err != nil {
		return "", err
	}
	at, err := s.commit(ctx, conditions, clientv3.OpPut(s.prefix+key, string(value), clientv3.WithLease(lease)))
	if err != nil {
		s.drop(ctx, lease, err)
		return "", err
	}
	return strconv.FormatInt(at, 10), nil
}

// commit does op if the conditions hold, and returns the revision that did it.
func (s *store) commit(ctx context.Context, conditions []clientv3.Cmp, op clientv3.Op) (int64, error) {
	r, err := s.client.Txn(ctx).If(conditions...).Then(op).Commit()
	switch {
	case err != nil:
		return 0, reason(err)
	case !r.Succeeded:
		return 0, errOther
	}
	return r.Header.Revision, nil
}

// lease is what lets a key end, in whole seconds; a cluster may give more. Each
// key has one of its own. No ttl is no lease.
func (s *store) lease(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	if ttl == 0 {
		return clientv3.NoLease, nil
	}
	r, err := s.client.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return clientv3.NoLease, reason(err)
	}
	return r.ID, nil
}

// drop gives back a lease if the error of its write says for certain that no key
// got it: a key goes with its lease. One that stays ends by itself.
func (s *store) drop(ctx context.Context, lease clientv3.LeaseID, err error) {
	if r := data.ReasonOf(err); lease != clientv3.NoLease && (r == data.Conflict || r == data.Misuse) {
		_, _ = s.client.Revoke(ctx, lease)
	}
}

// Delete implements [data.KeyStore].
func (s *store) Delete(ctx context.Context, key string, by *string) error {
	if err := s.opened(); err != nil {
		return err
	}
	if by == nil {
		_, err := s.client.Delete(ctx, s.prefix+key)
		return reason(err)
	}
	c, err := s.condition(key, *by)
	if err == nil {
		_, err = s.commit(ctx, []clientv3.Cmp{c}, clientv3.OpDelete(s.prefix+key))
	}
	return err
}

// Add implements [data.KeyAdder]: it tries until nobody comes between.
func (s *store) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (sum int64, err error) {
	if err := s.opened(); err != nil {
		return 0, err
	}
	lease, err := s.lease(ctx, ttl)
	if err != nil {
		return 0, err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if sum, err = s.addOnce(ctx, key, delta, lease); err == nil {
			return sum, nil
		}
		if !errors.Is(err, data.Conflict) {
			s.drop(ctx, lease, err)
			return 0, err
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

func (s *store) addOnce(ctx context.Context, key string, delta int64, lease clientv3.LeaseID) (sum int64, err error) {
	v, err := s.Get(ctx, key)
	keep := clientv3.WithLease(lease)
	switch {
	case errors.Is(err, data.NotFound):
		sum = delta
	case err != nil:
		return 0, err
	default:
		if sum, err = data.Sum(v.Data, delta); err != nil {
			return 0, err
		}
		if lease == clientv3.NoLease {
			keep = clientv3.WithIgnoreLease()
		}
	}
	c, err := s.condition(key, v.Version)
	if err == nil {
		_, err = s.commit(ctx, []clientv3.Cmp{c}, clientv3.OpPut(s.prefix+key, strconv.FormatInt(sum, 10), keep))
	}
	return sum, err
}

// all is how etcd says from the first key, and to the last.
const all = "\x00"

// Scan implements [data.KeyScanner].
func (s *store) Scan(ctx context.Context, prefix, after string, limit int) (keys []string, err error) {
	if err := s.opened(); err != nil {
		return nil, err
	}
	from, end := s.prefix+prefix, clientv3.GetPrefixRangeEnd(s.prefix+prefix)
	if after >= prefix {
		from = s.prefix + after + "\x00"
	}
	if from == "" {
		from = all
	}
	if end != all && from >= end {
		return nil, nil
	}
	r, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(int64(limit)))
	if err != nil {
		return nil, reason(err)
	}
	for _, kv := range r.Kvs {
		keys = append(keys, strings.TrimPrefix(string(kv.Key), s.prefix))
	}
	return keys, nil
}
