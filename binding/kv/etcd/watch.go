package etcd

import (
	"context"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"

	"github.com/myelin-run/myelin/binding/data"
)

// Watch implements [data.KeyWatcher]. The client would go on after a loss of the
// connection, but could not say that what was read is old meanwhile.
func (s *store) Watch(ctx context.Context, prefix string, tell func(data.Change)) error {
	if err := s.opened(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := s.client.Watch(ctx, s.prefix+prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	var broken chan struct{}
	for {
		select {
		case r, open := <-changes:
			switch {
			case !open:
				return data.As(data.Timeout, ctx.Err())
			case r.Err() != nil:
				return reason(r.Err())
			case r.Created && broken == nil:
				broken = make(chan struct{})
				go s.guardConnection(ctx, broken)
				defer func() { cancel(); <-broken }()
				tell(data.Change{})
			}
			for _, e := range r.Events {
				s.report(e, tell)
			}
		case <-broken:
			if ctx.Err() != nil {
				return data.As(data.Timeout, ctx.Err())
			}
			return data.Errorf(data.Away, "the connection to etcd was lost")
		case <-ctx.Done():
			return data.As(data.Timeout, ctx.Err())
		}
	}
}

// guardConnection closes broken when no member can be reached, or ctx is done.
func (s *store) guardConnection(ctx context.Context, broken chan struct{}) {
	defer close(broken)
	conn := s.client.ActiveConnection()
	for state := conn.GetState(); state == connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

func (s *store) report(e *clientv3.Event, tell func(data.Change)) {
	c := data.Change{Key: strings.TrimPrefix(string(e.Kv.Key), s.prefix)}
	if e.Type == clientv3.EventTypePut {
		c.Version = strconv.FormatInt(e.Kv.ModRevision, 10)
	}
	tell(c)
}
