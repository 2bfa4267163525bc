package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/stream"
)

// shardToken stands in topics for the number of a shard.
const shardToken = "{shard}"

// mostShards bounds what one trigger may ask for.
const mostShards = 10_000

func (c *Config) checkShards(es *document.Errors) {
	if c.Shards < 0 || c.Shards > mostShards {
		es.Add("shards", "is %d, expected 1 to %d", c.Shards, mostShards)
	}
	if c.Shards == 0 {
		if c.Assignment != "" {
			es.Add("assignment", "is of shards, and shards does not say how many there are")
		}
		return
	}
	switch {
	case c.Assignment != "":
		link.Word(es, "assignment", c.Assignment, stream.ByDealer, stream.ToOne)
	case c.Ordered:
		es.Add("ordered", "is of a consumer; each shard has its order by itself")
	case c.MaxAckPending > 0:
		es.Add("maxAckPending", "is of a consumer, and shards have none")
	}
	if c.Stream == "" {
		es.Add("stream", "is required where there are shards")
	}
	if len(c.Topics) == 0 {
		es.Add("topics", "is required where there are shards, such as [orders.%s.>]", shardToken)
	}
	for i, t := range c.Topics {
		if n := strings.Count("."+t+".", "."+shardToken+"."); n != 1 {
			es.Add(fmt.Sprintf("topics[%d]", i), "%q has %d tokens %s, expected one, for the number of the shard", t, n, shardToken)
		}
	}
	checkName(es, "checkpoints", c.Checkpoints)
}

// subjectsOf are the topics of one shard.
func (c *Config) subjectsOf(shard int32) []string {
	out := make([]string, len(c.Topics))
	for i, t := range c.Topics {
		out[i] = strings.ReplaceAll(t, shardToken, strconv.Itoa(int(shard)))
	}
	return out
}

// shardSource opens sessions that read shards.
type shardSource struct{ *source }

var _ stream.Source = (*shardSource)(nil)

// Connect implements [stream.Source].
func (s *shardSource) Connect(ctx context.Context, w stream.Want, host stream.Shards) (stream.Session, error) {
	conn, err := s.dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.ConnectTimeout.Std())
	defer cancel()
	n, err := s.begin(ctx, conn, w, host)
	if err != nil {
		conn.Close()
		if lacks := conn.Forbidden(); lacks != nil { // the question that nobody answered
			err = lacks
		}
		return nil, err
	}
	return n, nil
}

// begin finds the stream, and the bucket for checkpoints.
func (s *shardSource) begin(ctx context.Context, conn *link.Conn, w stream.Want, host stream.Shards) (*shardSession, error) {
	js, err := s.open(conn)
	if err != nil {
		return nil, err
	}
	log, err := s.stream(ctx, js)
	if err != nil {
		return nil, err
	}
	if log.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy {
		return nil, fmt.Errorf("stream %q is a work queue, which forgets what was read: shards need one that keeps messages", s.cfg.Stream)
	}
	kept, err := s.bucket(ctx, js, log.CachedInfo().Config.Replicas)
	if err != nil {
		return nil, err
	}
	n := &shardSession{src: s.source, conn: conn, stream: log, kept: kept, want: w, host: host,
		came: make(chan stream.Batch), broken: make(chan error, 1), has: map[int32]*puller{}, revisions: map[int32]uint64{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, nil
}

func (s *shardSource) bucket(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.KeyValue, error) {
	kept, err := js.KeyValue(ctx, s.cfg.Checkpoints)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kept, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.cfg.Checkpoints, Description: "how far shards were read", Storage: jetstream.FileStorage, Replicas: replicas})
		if errors.Is(err, jetstream.ErrBucketExists) {
			kept, err = js.KeyValue(ctx, s.cfg.Checkpoints)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %q for checkpoints: %w", s.cfg.Checkpoints, err)
	}
	return kept, nil
}

var _ queue.Topics = (*shardSource)(nil) // the engines ask for the same

// shardSession reads shards, each with a puller, and keeps their checkpoints.
type shardSession struct {
	src    *source
	conn   *link.Conn
	stream jetstream.Stream
	kept   jetstream.KeyValue
	want   stream.Want
	host   stream.Shards
	came   chan stream.Batch
	broken chan error // why a puller gave up

	ctx    context.Context // of the pullers
	cancel context.CancelFunc
	ends   sync.WaitGroup

	mu        sync.Mutex
	has       map[int32]*puller
	revisions map[int32]uint64 // of the checkpoints, as this session wrote them last
}

var (
	_ stream.Session = (*shardSession)(nil)
	_ stream.Keeper  = (*shardSession)(nil)
	_ stream.Pauser  = (*shardSession)(nil)
)

// Fetch implements [stream.Session].
func (n *shardSession) Fetch(ctx context.Context, take func(stream.Batch)) error {
	select {
	case b := <-n.came:
		take(b)
		return nil
	case err := <-n.broken:
		return err
	case <-n.conn.Lost():
		return n.conn.Why()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail has Fetch say why the session is lost.
func (n *shardSession) fail(err error) {
	select {
	case n.broken <- err:
	default:
	}
}

// pull begins to read a shard.
func (n *shardSession) pull(l stream.Lease, next uint64) {
	p := &puller{n: n, lease: l, next: next, flow: make(chan struct{})}
	close(p.flow)
	p.ctx, p.cancel = context.WithCancel(n.ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil {
		return
	}
	n.has[l.Shard] = p
	n.ends.Go(p.run)
}

// puller returns the one of a lease; nil if there is none any more.
func (n *shardSession) puller(l stream.Lease) *puller {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.has[l.Shard]; p != nil && p.lease == l {
		return p
	}
	return nil
}

// Drop implements [stream.Keeper].
func (n *shardSession) Drop(l stream.Lease) {
	p := n.puller(l)
	if p == nil {
		return
	}
	p.cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.has, l.Shard)
}

// Pause implements [stream.Pauser].
func (n *shardSession) Pause(ls ...stream.Lease) {
	for _, l := range ls {
		if p := n.puller(l); p != nil {
			p.pause()
		}
	}
}

// Resume implements [stream.Pauser].
func (n *shardSession) Resume(ls ...stream.Lease) {
	for _, l := range ls {
		if p := n.puller(l); p != nil {
			p.resume()
		}
	}
}

// Close implements [stream.Session].
func (n *shardSession) Close(ctx context.Context) error {
	n.mu.Lock()
	n.cancel()
	n.mu.Unlock()
	n.ends.Wait()
	err := n.conn.Sync(ctx)
	n.conn.Close()
	return err
}
