// Package etcd is the store that the control plane carries with it: one etcd
// member inside this process, in one directory, listening nowhere. It knows
// nothing of what is stored.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/myelin-run/myelin/control/store"
)

// Options say where a store lies.
type Options struct {
	// Dir is the data directory. The store keeps to Dir/store and Dir/lock.
	Dir string
	// Reserve is the free disk space below which nothing more is written,
	// so that the store itself never meets a full disk, after which it could
	// not go on. Default 64 MiB; negative: none.
	Reserve int64
	// Wrapping is how many bytes a value may have beyond the contract's limit,
	// for what stands before the store and adds something to each.
	Wrapping int
}

// Store is an open store. Close it last.
type Store struct {
	dir     string
	reserve int64
	largest int
	lock    *os.File
	server  *embed.Etcd
	client  *clientv3.Client
	closed  context.Context // ends the watches
	close   context.CancelFunc
}

const (
	defaultReserve = 64 << 20
	maxValue       = 1 << 20
	quota          = 2 << 30
)

// Open opens the store of a data directory, and makes it if it is new. ctx
// bounds the opening. A directory in use by another process is an
// [*InUseError].
func Open(ctx context.Context, o Options) (*Store, error) {
	dir := filepath.Join(o.Dir, "store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store directory: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, reserve: o.Reserve, largest: maxValue + o.Wrapping, lock: lock}
	if s.reserve == 0 {
		s.reserve = defaultReserve
	}
	s.closed, s.close = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	if err := s.room(1); err != nil {
		return err
	}
	server, err := embed.StartEtcd(config(s.dir))
	if err != nil {
		return err
	}
	s.server = server
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	s.client = v3client.New(server.Server)
	return nil
}

// Close closes the store; watches end.
func (s *Store) Close() error {
	s.close()
	var err error
	if s.client != nil {
		err = s.client.Close()
	}
	if s.server != nil {
		s.server.Close()
	}
	if errors.Is(err, context.Canceled) { // what its own end looks like
		err = nil
	}
	return errors.Join(err, s.lock.Close())
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, store.Revision, error) {
	resp, err := s.client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, fmt.Errorf("list %q: %w", prefix, err)
	}
	entries := make([]store.Entry, 0, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		entries = append(entries, store.Entry{Key: string(kv.Key), Value: kv.Value, Revision: store.Revision(kv.ModRevision)})
	}
	return entries, store.Revision(resp.Header.Revision), nil
}

// Get implements [store.Getter].
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	if key == "" {
		return store.Entry{}, store.ErrNotFound
	}
	resp, err := s.client.Get(ctx, key)
	if err != nil {
		return store.Entry{}, fmt.Errorf("get %q: %w", key, err)
	}
	if len(resp.Kvs) == 0 {
		return store.Entry{}, store.ErrNotFound
	}
	kv := resp.Kvs[0]
	return store.Entry{Key: key, Value: kv.Value, Revision: store.Revision(kv.ModRevision)}, nil
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	checks, then, err := s.transaction(ops)
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	resp, err := s.client.Txn(ctx).If(checks...).Then(then...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return 0, fmt.Errorf("commit: the store has reached its size limit of %d MiB: %w", quota>>20, store.ErrFull)
	case err != nil:
		return 0, fmt.Errorf("commit: %w", err)
	case !resp.Succeeded:
		return 0, store.ErrConflict
	}
	return store.Revision(resp.Header.Revision), nil
}

func (s *Store) transaction(ops []store.Op) (checks []clientv3.Cmp, then []clientv3.Op, err error) {
	weight := int64(4) // deletes may use some of the reserve: they make room
	for _, op := range ops {
		if op.Key == "" {
			return nil, nil, errors.New("empty key")
		}
		if len(op.Value) > s.largest {
			return nil, nil, fmt.Errorf("value of %q has %d bytes, at most %d fit", op.Key, len(op.Value), s.largest)
		}
		if op.Check {
			checks = append(checks, clientv3.Compare(clientv3.ModRevision(op.Key), "=", int64(op.If)))
		}
		if op.Value == nil {
			then = append(then, clientv3.OpDelete(op.Key))
			continue
		}
		weight = 1
		then = append(then, clientv3.OpPut(op.Key, string(op.Value)))
	}
	return checks, then, s.room(weight)
}
