package redislist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// session is one owner of elements. Whatever it takes it takes by a script that
// asks whether the owner is believed to live: who was taken for dead while it
// stood still gets nothing more, and what it settles is no longer its own.
type session struct {
	src    *source
	owner  string
	client *redis.Client
	desk   *link.Desk

	waits   *redis.Client // of commands that wait, and change nothing
	waiting []bool        // whether one waits at a list; of Receive
	woke    chan wake     // one of those has ended

	turn      int   // the list that is asked first
	number    int64 // the last one that was given to an element
	reclaimAt time.Time
	broken    error // why nothing more is received

	fenced atomic.Bool // it was taken for dead
	fence  chan struct{}
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

var (
	_ queue.Session = (*session)(nil)
	_ queue.Lagger  = (*session)(nil)
	_ queue.Bulk    = (*session)(nil)
)

// errFenced is why a session ends whose owner was taken for dead.
var errFenced = errors.New("this processor was silent for longer than its lease, and others have what it had taken")

const (
	// blockTime is how long a wait for elements lasts at the server.
	blockTime = 5 * time.Second
	// mostBytes bounds what one command brings, but for its last element.
	mostBytes = 16 << 20
)

func newSession(s *source, client *redis.Client, owner string) (*session, error) {
	waits, err := s.to.Client("myelin-waits-"+owner, blockTime, len(s.cfg.Lists))
	if err != nil {
		return nil, err
	}
	n := len(s.cfg.Lists)
	q := &session{src: s, owner: owner, client: client, waits: waits, waiting: make([]bool, n), woke: make(chan wake, n), fence: make(chan struct{})}
	q.desk = link.NewDesk(n, q.done, q.back)
	ctx, cancel := context.WithCancel(context.Background())
	q.stop = cancel
	q.wg.Go(func() { q.beat(ctx) })
	return q, nil
}

// beat says that the owner lives, until ctx ends.
func (s *session) beat(ctx context.Context) {
	lease := s.src.cfg.Lease.Std()
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, s.src.cfg.Timeout.Std())
		known, err := beat.Run(within, s.client, s.src.ownersKeys(), s.owner, lease.Milliseconds(), "").Int()
		cancel()
		if err == nil && known == 0 {
			s.lose()
			return
		}
		if err != nil && ctx.Err() == nil {
			s.src.log.Warn("tell Redis that this processor lives failed", "error", err)
		}
	}
}

func (s *session) lose() {
	if s.fenced.CompareAndSwap(false, true) {
		close(s.fence)
	}
}

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if s.broken != nil { // it was told to nobody, for the trigger was being paused
			return 0, s.broken
		}
		n, err := s.take(ms)
		if err == nil && n == 0 {
			err = s.await(ctx)
		}
		if err != nil { // also beside what was taken: Redis may have given what did not arrive
			if errors.Is(err, io.EOF) { // which would mean an orderly end
				err = errors.New("it closed the connection")
			}
			s.broken = fmt.Errorf("take from Redis: %w", s.src.explain(err))
			return n, s.broken
		}
		if n > 0 {
			return n, nil
		}
	}
}

// take brings what is in the lists, each in its turn.
func (s *session) take(ms []*queue.Message) (n int, err error) {
	if !time.Now().Before(s.reclaimAt) {
		if err := s.reclaim(); err != nil {
			return 0, err
		}
		s.reclaimAt = time.Now().Add(s.src.cfg.ReclaimInterval.Std())
	}
	lists := s.src.cfg.Lists
	first := s.turn
	s.turn = (s.turn + 1) % len(lists)
	for i := range lists {
		of := len(lists) - i // what others leave is the last one's
		if n == len(ms) {
			break
		}
		at := (first + i) % len(lists)
		got, err := s.takeFrom(at, ms[n:n+max(1, (len(ms)-n)/of)])
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *session) takeFrom(at int, ms []*queue.Message) (int, error) {
	list := s.src.cfg.Lists[at]
	ctx, cancel := context.WithTimeout(context.Background(), s.src.cfg.Timeout.Std())
	defer cancel()
	first := s.number + 1
	s.number += int64(len(ms))
	answer, err := take.Run(ctx, s.client, keys(list, s.owner), s.owner, s.src.cfg.Lease.Std().Milliseconds(), len(ms), first, s.src.cfg.End, mostBytes).Slice()
	if err != nil {
		return 0, err
	}
	if len(answer) == 0 || len(answer) > 1+2*len(ms) || len(answer)%2 == 0 {
		return 0, errShape
	}
	if answer[0] != int64(1) {
		s.lose()
		return 0, errFenced
	}
	for i, m := range ms[:len(answer)/2] {
		element, ok := answer[1+2*i].(string)
		times, counted := answer[2+2*i].(int64)
		if !ok || !counted {
			return 0, errShape
		}
		s.fill(m, list, element)
		m.Delivered = int(times)
		m.Tag = s.desk.Open(at, strconv.FormatInt(first+int64(i), 10))
	}
	return len(answer) / 2, nil
}

var errShape = errors.New("redis answered in an unknown form")

func (s *session) fill(m *queue.Message, list, element string) {
	b := m.Buffer[:0]
	b = append(b, element...)
	end := len(b)
	b = append(b, s.src.cfg.ContentType...)
	m.Buffer = b
	m.Event.Body, m.Event.Topic = b[:end:end], list
	if len(b) > end {
		m.Event.ContentType = b[end:]
	}
}

// await waits until there may be something in a list, or something else is to be
// done. What waits at the server is a move of an element to where it is: it is
// over when there is one, and takes nothing.
func (s *session) await(ctx context.Context) error {
	for i, list := range s.src.cfg.Lists {
		if !s.waiting[i] {
			s.waiting[i] = true
			s.wg.Go(func() { s.woke <- wake{i, s.waitAt(list)} })
		}
	}
	timer := time.NewTimer(time.Until(s.reclaimAt))
	defer timer.Stop()
	select {
	case w := <-s.woke:
		s.waiting[w.list] = false
		return w.err
	case <-s.fence:
		return errFenced
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil
}

// wake is the end of a wait.
type wake struct {
	list int
	err  error
}

func (s *session) waitAt(list string) error {
	err := s.waits.BLMove(context.Background(), list, list, s.src.cfg.End, s.src.cfg.End, blockTime).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// reclaim puts back what dead processors had.
func (s *session) reclaim() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.src.cfg.Timeout.Std())
	defer cancel()
	for _, list := range s.src.cfg.Lists {
		names, err := dead.Run(ctx, s.client, []string{prefix + list + owners}).StringSlice()
		if err != nil {
			return fmt.Errorf("look for dead processors: %w", err)
		}
		for _, name := range names {
			n, err := reclaim.Run(ctx, s.client, keys(list, name), name, s.src.cfg.End, "dead").Int()
			if err != nil {
				return fmt.Errorf("put back what %s had: %w", name, err)
			}
			if n > 0 {
				s.src.log.Warn("put back what a dead processor had", "list", list, "processor", name, "elements", n)
			}
		}
	}
	return nil
}

// Settle implements [queue.Session].
func (s *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	return s.settle(v.Action == queue.Requeue, m.Tag)
}

// AckAll implements [queue.Bulk].
func (s *session) AckAll(_ context.Context, ms []*queue.Message) error {
	tags := make([]uint64, len(ms))
	for i, m := range ms {
		tags[i] = m.Tag
	}
	return s.settle(false, tags...)
}

func (s *session) settle(back bool, tags ...uint64) error {
	if s.fenced.Load() {
		return errFenced
	}
	if err := s.desk.Settle(back, tags...); err != nil {
		return fmt.Errorf("settle element: %w", err)
	}
	return nil
}

func (s *session) done(at int, numbers []any) error {
	list := s.src.cfg.Lists[at]
	return s.run(done, []string{prefix + list + taken + s.owner, prefix + list + counts}, numbers...)
}

func (s *session) back(at int, numbers []any) error {
	list := s.src.cfg.Lists[at]
	return s.run(back, []string{list, prefix + list + taken + s.owner}, append([]any{s.src.cfg.End}, numbers...)...)
}

func (s *session) run(script *redis.Script, keys []string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.src.cfg.Timeout.Std())
	defer cancel()
	if err := script.Run(ctx, s.client, keys, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

// Lag implements [queue.Lagger].
func (s *session) Lag(ctx context.Context) (int64, error) { return s.src.lag(ctx, s.client) }

// Close implements [queue.Session]. What was not settled goes back.
func (s *session) Close(ctx context.Context) error {
	s.stop()
	errs := []error{s.waits.Close()}
	s.wg.Wait()
	if err := s.src.giveUp(ctx, s.client, s.owner); err != nil {
		s.src.left = append(s.src.left, s.owner)
		errs = append(errs, fmt.Errorf("give elements back: %w", err))
	}
	return errors.Join(append(errs, s.client.Close())...)
}
