package kafka

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Source connects to a cluster. It implements [stream.Source], [stream.Topics]
// and io.Closer.
type Source struct {
	cfg     Config
	log     *slog.Logger
	exactly bool    // answers and checkpoints go in one transaction
	part    float64 // of the shards; 0 and 1: as the group has it
	begins  trigger.Start

	mu       sync.Mutex
	producer *kgo.Client // of letters; made when the first is sent
	closed   bool
}

// Connect implements [stream.Source]: it asks the cluster for the topics, so
// that a wrong address, password or topic is an error here, and joins the
// group.
func (s *Source) Connect(ctx context.Context, w stream.Want, sh stream.Shards) (stream.Session, error) {
	// Time to reach one broker that is there, past one that is not.
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.DialTimeout.Std())
	defer cancel()
	base, ls, err := s.cluster().Base()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, ls.Cut)
	side, err := s.aside(base, w)
	if err != nil {
		return nil, err
	}
	ids, err := s.find(ctx, side)
	if err != nil {
		side.Close()
		return nil, s.explain(err)
	}
	n := newSession(s, w, sh, side, ids)
	n.lines = ls
	n.cl, err = kgo.NewClient(append(base, s.reading(n)...)...)
	if err != nil {
		side.Close()
		return nil, s.explain(err)
	}
	close(n.opened)
	if !stop() { // the lines are cut, or will be at once
		return nil, errors.Join(ctx.Err(), n.Close(ctx))
	}
	return n, nil
}

// aside makes the client for questions and, if they are wanted, transactions:
// these want the client for themselves.
func (s *Source) aside(base []kgo.Opt, w stream.Want) (*kgo.Client, error) {
	opts := base[:len(base):len(base)]
	if w.Transactions {
		opts = append(opts,
			kgo.TransactionalID(s.transactionalID()),
			kgo.TransactionTimeout(s.cfg.TransactionTimeout.Std()),
			kgo.ProducerBatchMaxBytes(int32(s.cfg.MaxMessageSize)), //nolint:gosec // Validate bounds it
			kgo.RecordDeliveryTimeout(s.cfg.TransactionTimeout.Std()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, s.explain(err)
	}
	return cl, nil
}

// reading are the options of the client that is the group's member.
func (s *Source) reading(n *session) []kgo.Opt {
	c := &s.cfg
	part := int32(c.FetchDefault) //nolint:gosec // Validate bounds it
	if n.want.Bytes > 0 {
		part = min(part, int32(min(n.want.Bytes, 1<<30))) //nolint:gosec // bounded
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.ConsumerGroup),
		kgo.DisableAutoCommit(),
		kgo.KeepControlRecords(), // they are passed, so that nothing seems to wait
		kgo.BlockRebalanceOnPoll(),
		kgo.Balancers(s.balancers()...),
		kgo.SessionTimeout(c.SessionTimeout.Std()),
		kgo.HeartbeatInterval(c.HeartbeatInterval.Std()),
		kgo.RebalanceTimeout(c.RebalanceTimeout.Std()),
		kgo.OnPartitionsAssigned(n.assigned),
		kgo.OnPartitionsRevoked(n.revoked),
		kgo.OnPartitionsLost(n.lost),
		kgo.AdjustFetchOffsetsFn(n.places),
		kgo.ConsumeStartOffset(c.start(n.want.Start)),
		kgo.ConsumeResetOffset(c.outOfRange()),
		kgo.FetchMinBytes(int32(c.FetchMin)), //nolint:gosec // Validate bounds it
		kgo.FetchMaxBytes(int32(c.FetchMax)), //nolint:gosec // Validate bounds it
		kgo.FetchMaxPartitionBytes(part),
		kgo.FetchMaxWait(c.MaxWaitTime.Std()),
		kgo.Rack(c.Rack),
	}
	if s.committedOnly() {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if c.GroupProtocol == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	return append(opts, c.subscription()...)
}

// committedOnly says that records of transactions are not read before their end.
func (s *Source) committedOnly() bool {
	return s.exactly || s.cfg.IsolationLevel == "read_committed"
}

// balancers are the ways to share out that the member knows, best first.
func (s *Source) balancers() []kgo.GroupBalancer {
	by := s.cfg.balancer()
	if s.part > 0 && s.part < 1 && by.IsCooperative() {
		return []kgo.GroupBalancer{weighted{by, s.part}, by}
	}
	return []kgo.GroupBalancer{by}
}

func (c *Config) balancer() kgo.GroupBalancer {
	switch c.BalanceStrategy {
	case "sticky":
		return kgo.StickyBalancer()
	case "range":
		return kgo.RangeBalancer()
	case "roundrobin":
		return kgo.RoundRobinBalancer()
	}
	return kgo.CooperativeStickyBalancer()
}

// subscription turns names into patterns if there is a pattern among them,
// since the client knows only one or the other.
func (c *Config) subscription() []kgo.Opt {
	if !c.patterns() {
		return []kgo.Opt{kgo.ConsumeTopics(c.Topics...)}
	}
	all := make([]string, len(c.Topics))
	for i, t := range c.Topics {
		all[i] = t
		if !strings.HasPrefix(t, "^") {
			all[i] = "^" + regexp.QuoteMeta(t) + "$"
		}
	}
	return []kgo.Opt{kgo.ConsumeRegex(), kgo.ConsumeTopics(all...)}
}

func (c *Config) patterns() bool {
	for _, t := range c.Topics {
		if strings.HasPrefix(t, "^") {
			return true
		}
	}
	return false
}

// start is where a shard without a checkpoint is read from.
func (c *Config) start(at trigger.Start) kgo.Offset {
	switch at.Where {
	case trigger.Earliest:
		return kgo.NewOffset().AtStart()
	case trigger.Latest:
		return kgo.NewOffset().AtEnd()
	case trigger.AtOffset:
		return kgo.NewOffset().At(at.Offset)
	case trigger.AtTime:
		return kgo.NewOffset().AfterMilli(at.Time.UnixMilli())
	}
	if c.InitialOffset == "latest" {
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().AtStart()
}

func (c *Config) outOfRange() kgo.Offset {
	switch c.OutOfRange {
	case "latest":
		return kgo.NewOffset().AtEnd()
	case "stop":
		return kgo.NoResetOffset()
	}
	return kgo.NewOffset().AtStart()
}
