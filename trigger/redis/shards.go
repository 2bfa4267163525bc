package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// mostShards bounds what one trigger may ask for.
const mostShards = 10_000

func checkShards(es *document.Errors, c *Config) {
	if c.Shards < 0 || c.Shards > mostShards {
		es.Add("shards", "is %d, expected 1 to %d", c.Shards, mostShards)
	}
	switch {
	case c.Assignment != "" && c.Assignment != stream.ByDealer && c.Assignment != stream.ToOne:
		es.Add("assignment", "is %q, expected %s or %s", c.Assignment, stream.ByDealer, stream.ToOne)
	case c.Assignment != "" && c.Shards == 0:
		es.Add("assignment", "is of shards, and shards does not say how many there are")
	}
	if c.Consumer != "" && c.Shards > 0 {
		es.Add("consumer", "is of a group at the server, and shards have none")
	}
}

// dealt makes the trigger that reads shards.
func dealt(s trigger.Settings, src *source) (trigger.Trigger, error) {
	as := stream.Assigned(s, src.cfg.Assignment, src.cfg.Shards, src.cfg.Streams...)
	return stream.New(s, stream.Options{Kind: Kind, Assignment: as}, &shardSource{src})
}

// shardSource opens sessions that read shards.
type shardSource struct{ *source }

var (
	_ stream.Source = (*shardSource)(nil)
	_ stream.Topics = (*shardSource)(nil)
	_ io.Closer     = (*shardSource)(nil)
)

// Connect implements [stream.Source].
func (s *shardSource) Connect(ctx context.Context, w stream.Want, host stream.Shards) (stream.Session, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout.Std()+s.cfg.Timeout.Std())
	defer cancel()
	at, err := place(w.Start)
	if err == nil {
		err = s.look(ctx, client)
	}
	if err != nil {
		_ = client.Close()
		return nil, s.to.Explain(err)
	}
	n := &shardSession{src: s.source, client: client, reader: client.Conn(), host: host, begin: at, has: map[string]*reading{}, changed: make(chan struct{}, 1)}
	n.page = min(max(w.Records, 1), mostPage)
	return n, nil
}

// look sees whether the keys of the shards are streams, or nothing yet.
func (s *shardSource) look(ctx context.Context, client *redis.Client) error {
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("connect to Redis at %s: %w", s.to.Host, err)
	}
	var keys []string
	asked := client.Pipeline()
	for _, topic := range s.cfg.Streams {
		for i := range s.cfg.Shards {
			keys = append(keys, keyOf(topic, int32(i))) //nolint:gosec // Validate bounds it
			asked.Type(ctx, keys[len(keys)-1])
		}
	}
	answers, err := asked.Exec(ctx)
	if err != nil {
		return fmt.Errorf("ask what keys are: %w", err)
	}
	for i, a := range answers {
		if kind, ok := a.(*redis.StatusCmd); ok && kind.Val() != "stream" && kind.Val() != "none" {
			return fmt.Errorf("the key %q is no stream", keys[i])
		}
	}
	return nil
}

const (
	// mostPage is how many entries of a shard one read asks for.
	mostPage = 256
	// readTime is the longest that a read waits at the server: shards that come
	// and go meanwhile have to wait for its end.
	readTime = 100 * time.Millisecond
)

// shardSession reads shards and keeps their checkpoints.
type shardSession struct {
	src    *source
	client *redis.Client
	reader *redis.Conn // of Fetch alone
	host   stream.Shards
	begin  string // behind which a shard without a checkpoint begins
	page   int

	mu      sync.Mutex
	has     map[string]*reading // by key
	changed chan struct{}       // signalled when there is another one to read

	args []any // scratch of Fetch
}

// reading is a shard that is read.
type reading struct {
	lease  stream.Lease
	last   string // id of the last entry that came
	paused bool
}

var (
	_ stream.Session = (*shardSession)(nil)
	_ stream.Keeper  = (*shardSession)(nil)
	_ stream.Pauser  = (*shardSession)(nil)
)

// keyOf is the key in which a shard lies.
func keyOf(topic string, shard int32) string { return topic + ":" + strconv.Itoa(int(shard)) }

// Fetch implements [stream.Session].
func (n *shardSession) Fetch(ctx context.Context, take func(stream.Batch)) error {
	for ctx.Err() == nil {
		now := n.readings()
		if len(now) == 0 {
			select {
			case <-ctx.Done():
			case <-n.changed:
			}
			continue
		}
		came, err := n.read(now)
		if err != nil {
			return fmt.Errorf("read from Redis: %w", n.src.to.Explain(err))
		}
		if came = n.current(came); len(came) == 0 {
			continue
		}
		for _, b := range came {
			take(b)
		}
		return nil
	}
	return ctx.Err()
}

// readings are the shards to be read now, as they are now.
func (n *shardSession) readings() map[string]reading {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[string]reading, len(n.has))
	for key, r := range n.has {
		if !r.paused {
			out[key] = *r
		}
	}
	return out
}

// read waits a moment for entries of shards.
func (n *shardSession) read(now map[string]reading) (out []stream.Batch, err error) {
	wait := min(n.src.cfg.Block.Std(), readTime)
	n.args = append(n.args[:0], "xread", "count", n.page, "block", max(wait.Milliseconds(), 1), "streams")
	keys := make([]string, 0, len(now))
	for key := range now {
		keys = append(keys, key)
		n.args = append(n.args, key)
	}
	for _, key := range keys {
		n.args = append(n.args, now[key].last)
	}
	answer, err := n.reader.Do(context.Background(), n.args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it closed the connection")
	}
	if err != nil {
		return nil, err
	}
	all, err := streams(nil, keys, answer)
	if err != nil {
		return nil, err
	}
	for len(all) > 0 {
		k := 1
		for k < len(all) && all[k].stream == all[0].stream {
			k++
		}
		b, err := n.src.batch(now[keys[all[0].stream]].lease, all[:k])
		if err != nil {
			return nil, err
		}
		out, all = append(out, b), all[k:]
	}
	return out, nil
}

// current leaves out what came of shards that are gone, and notes how far the
// others were read.
func (n *shardSession) current(came []stream.Batch) (out []stream.Batch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range came {
		r := n.has[keyOf(b.Lease.Topic, b.Lease.Shard)]
		if r == nil || r.lease != b.Lease {
			b.Records.Release()
			continue
		}
		last, _ := b.Records.At(b.Records.Len() - 1)
		r.last = idOf(last)
		out = append(out, b)
	}
	return out
}

// Drop implements [stream.Keeper].
func (n *shardSession) Drop(l stream.Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := keyOf(l.Topic, l.Shard)
	if r := n.has[key]; r != nil && r.lease == l {
		delete(n.has, key)
	}
}

// Pause implements [stream.Pauser].
func (n *shardSession) Pause(ls ...stream.Lease) { n.pause(true, ls) }

// Resume implements [stream.Pauser].
func (n *shardSession) Resume(ls ...stream.Lease) { n.pause(false, ls) }

func (n *shardSession) pause(on bool, ls []stream.Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range ls {
		if r := n.has[keyOf(l.Topic, l.Shard)]; r != nil && r.lease == l {
			r.paused = on
		}
	}
	n.wake()
}

func (n *shardSession) wake() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// Close implements [stream.Session].
func (n *shardSession) Close(context.Context) error {
	return errors.Join(n.reader.Close(), n.client.Close())
}
