package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

const (
	pageSize   = 256
	pullTime   = 10 * time.Second // that one request for messages stands
	unusedTime = time.Minute      // after which the server forgets a consumer that nobody asks
	apiTime    = 10 * time.Second
)

// puller reads one shard by a consumer that keeps nothing: messages come in
// order, and are neither acked nor delivered again. If one is missing, or the
// server has lost the consumer, another is made that goes on behind the last
// message that came.
type puller struct {
	n      *shardSession
	lease  stream.Lease
	ctx    context.Context
	cancel context.CancelFunc
	next   uint64 // in the stream
	came   uint64 // messages of the present consumer

	mu   sync.Mutex
	flow chan struct{} // closed while messages may be asked for
}

var errGap = errors.New("a message was lost on the way")

func (p *puller) run() {
	for p.ctx.Err() == nil {
		c, err := p.consumer()
		if err != nil {
			if p.ctx.Err() == nil {
				p.n.fail(fmt.Errorf("read shard %d of stream %q: %w", p.lease.Shard, p.lease.Topic, err))
			}
			return
		}
		for err == nil && p.ctx.Err() == nil {
			err = p.page(c)
		}
		if p.ctx.Err() == nil {
			p.n.src.log.Debug("consumer of shard is made anew", "shard", p.lease.Shard, "reason", err)
		}
		p.forget(c)
	}
}

// consumer makes one that begins at next.
func (p *puller) consumer() (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(p.ctx, apiTime)
	defer cancel()
	p.came = 0
	return p.n.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(p.next, 1),
		FilterSubjects: p.n.src.cfg.subjectsOf(p.lease.Shard), InactiveThreshold: unusedTime, MemoryStorage: true, Replicas: 1,
	})
}

// forget has the server forget a consumer; if it does not hear of it, it does by
// itself.
func (p *puller) forget(c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), ceaseTime)
	defer cancel()
	if err := p.n.stream.DeleteConsumer(ctx, c.CachedInfo().Name); err != nil {
		p.n.src.log.Debug("delete consumer of shard failed", "shard", p.lease.Shard, "error", err)
	}
}

// page asks for messages once and passes on what comes.
func (p *puller) page(c jetstream.Consumer) error {
	p.mu.Lock()
	flow := p.flow
	p.mu.Unlock()
	select {
	case <-flow:
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(p.ctx, pullTime)
	defer cancel()
	batch, err := c.Fetch(pageSize, jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		if err := p.pass(m, batch.Messages()); err != nil {
			return err
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// pass hands on m and what is behind it already.
func (p *puller) pass(m jetstream.Msg, more <-chan jetstream.Msg) error {
	ms := &messages{name: p.lease.Topic}
	size, end := 0, int64(0)
	for ok := true; ok; {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != p.came+1 {
			return errGap
		}
		p.came, p.next = p.came+1, meta.Sequence.Stream+1
		ms.all = append(ms.all, message{m, int64(meta.Sequence.Stream), meta.Timestamp}) //nolint:gosec // a stream does not get that long
		size += len(m.Data()) + 200
		end = int64(p.next + meta.NumPending) //nolint:gosec // likewise
		select {
		case m, ok = <-more:
		default:
			ok = false
		}
	}
	select {
	case p.n.came <- stream.Batch{Lease: p.lease, Records: ms, Bytes: size, End: end}:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (p *puller) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flow:
		p.flow = make(chan struct{})
	default:
	}
}

func (p *puller) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flow:
	default:
		close(p.flow)
	}
}

// message is one of a shard.
type message struct {
	jetstream.Msg
	offset int64
	time   time.Time
}

// messages are the records of a shard.
type messages struct {
	all  []message
	name string // of the stream
}

var _ stream.Records = (*messages)(nil)

// Len implements [stream.Records].
func (ms *messages) Len() int { return len(ms.all) }

// At implements [stream.Records]. The key of a message is its subject.
func (ms *messages) At(i int) (int64, []byte) { return ms.all[i].offset, []byte(ms.all[i].Subject()) }

// Read implements [stream.Records].
func (ms *messages) Read(i int, ev *event.Event) {
	m := &ms.all[i]
	link.Fill(ev, &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}, nil)
	ev.Time = m.time
	if len(ev.ID) == 0 {
		ev.ID = strconv.AppendInt([]byte(ms.name+":"), m.offset, 10)
	}
}

// Release implements [stream.Records].
func (ms *messages) Release() {}
