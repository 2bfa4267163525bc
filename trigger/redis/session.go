package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// session is one membership in the group. Entries come from three places, in
// this order: those that this consumer had and did not ack, at the beginning;
// those that others have left, now and then; new ones.
type session struct {
	src      *source
	client   *redis.Client
	reader   *redis.Conn // blocks, and nobody else uses it
	readerID int64       // its number at the server; 0 if not known

	rest    []entry // come, and not handed out; always the end of all
	all     []entry
	turn    int    // the stream that is read first
	mine    int    // streams whose pending entries of this consumer were read again
	from    string // and from where on in the one that is at it
	claims  int    // streams looked through in the present round of claims; all: none goes on
	cursor  string // and from where on
	claimAt time.Time
	args    []any // scratch

	desk *link.Desk
}

var (
	_ queue.Session  = (*session)(nil)
	_ queue.Extender = (*session)(nil)
	_ queue.Lagger   = (*session)(nil)
	_ queue.Bulk     = (*session)(nil)
)

func newSession(s *source, client *redis.Client) *session {
	q := &session{src: s, client: client, reader: client.Conn(), from: "0", cursor: "0-0"}
	q.desk = link.NewDesk(len(s.cfg.Streams), q.ackAll, q.giveBack)
	return q
}

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for {
		if n := s.hand(ms); n > 0 {
			return n, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		err := s.fetch(ctx, len(ms))
		if errors.Is(err, io.EOF) { // which would mean an orderly end
			return 0, errors.New("read from Redis: it closed the connection")
		}
		if err != nil {
			return 0, fmt.Errorf("read from Redis: %w", s.src.to.Explain(err))
		}
	}
}

// hand hands out what has come.
func (s *session) hand(ms []*queue.Message) int {
	n := min(len(ms), len(s.rest))
	for i := range n {
		e := &s.rest[i]
		s.fill(ms[i], e)
		ms[i].Tag = s.desk.Open(e.stream, e.id)
	}
	if s.rest = s.rest[n:]; len(s.rest) == 0 {
		clear(s.all)
		s.rest, s.all = s.all[:0], s.all[:0]
	}
	return n
}

// fetch brings at most n entries into rest, which is empty, or none.
func (s *session) fetch(ctx context.Context, n int) error {
	defer func() { s.all = s.rest }()
	if s.mine < len(s.src.cfg.Streams) {
		return s.recall(n)
	}
	if s.claims < len(s.src.cfg.Streams) || !time.Now().Before(s.claimAt) {
		found, err := s.claim(n)
		if err != nil || found {
			return err
		}
	}
	return s.read(ctx, n)
}

// recall reads again what this consumer had.
func (s *session) recall(n int) error {
	cfg := &s.src.cfg
	stream := cfg.Streams[s.mine]
	answer, err := s.do("xreadgroup", "group", cfg.Group, s.src.consumer, "count", n, "streams", stream, s.from)
	if err != nil {
		return err
	}
	if s.rest, err = streams(s.rest, cfg.Streams, answer); err != nil {
		return err
	}
	if len(s.rest) == 0 {
		s.mine, s.from = s.mine+1, "0"
		return nil
	}
	s.from = s.rest[len(s.rest)-1].id.(string)
	if err := s.drop(); err != nil {
		return err
	}
	return s.count()
}

// drop acks entries that are no longer in the stream: nobody can run them.
func (s *session) drop() error {
	kept := s.rest[:0]
	for _, e := range s.rest {
		if e.fields != nil {
			kept = append(kept, e)
			continue
		}
		s.gone(e.stream, e.id)
		if err := s.ackAll(e.stream, []any{e.id}); err != nil {
			return err
		}
	}
	s.rest = kept
	return nil
}

func (s *session) gone(stream int, id any) {
	s.src.log.Error("an entry was trimmed or deleted before it was done", "stream", s.src.cfg.Streams[stream], "id", id)
}

// claim takes over what consumers have left, a part of one stream at a time.
func (s *session) claim(n int) (found bool, err error) {
	cfg := &s.src.cfg
	if s.claims >= len(cfg.Streams) {
		s.claims, s.cursor = 0, "0-0"
	}
	for s.claims < len(cfg.Streams) {
		answer, err := s.do("xautoclaim", cfg.Streams[s.claims], cfg.Group, s.src.consumer, cfg.MinIdle.Std().Milliseconds(), s.cursor, "count", n)
		if err != nil {
			return false, err
		}
		next, rest, gone, err := claimed(s.rest, s.claims, answer)
		if err != nil {
			return false, err
		}
		for _, id := range gone {
			s.gone(s.claims, id)
		}
		s.rest, s.cursor = rest, next
		if next == "0-0" {
			s.claims++
		}
		if len(s.rest) > 0 {
			return true, s.count()
		}
	}
	s.claimAt = time.Now().Add(cfg.ClaimInterval.Std())
	return false, nil
}

// count asks how often the entries in rest, all of one stream, were delivered.
func (s *session) count() error {
	if len(s.rest) == 0 {
		return nil
	}
	cfg := &s.src.cfg
	first, last := s.rest[0], s.rest[len(s.rest)-1]
	answer, err := s.do("xpending", cfg.Streams[first.stream], cfg.Group, first.id, last.id, 10*len(s.rest)+1000, s.src.consumer)
	if err != nil {
		return err
	}
	all, _ := answer.([]any)
	times := make(map[any]int, len(all))
	for _, x := range all {
		if row, ok := x.([]any); ok && len(row) == 4 {
			n, _ := row[3].(int64)
			times[row[0]] = int(n)
		}
	}
	for i := range s.rest {
		s.rest[i].before = max(times[s.rest[i].id]-1, 0) // this time is counted, too
	}
	return nil
}

// turnTime is how long a read waits that leaves out streams.
const turnTime = 20 * time.Millisecond

// read waits for new entries. A stop ends the wait at the server: what had been
// delivered by then still comes.
func (s *session) read(ctx context.Context, n int) error {
	cfg := &s.src.cfg
	wait, of := min(cfg.Block.Std(), time.Until(s.claimAt)), len(cfg.Streams)
	if n < of { // there is room for some streams only: those take turns
		wait, of = min(wait, turnTime), n
	}
	s.args = append(s.args[:0], "xreadgroup", "group", cfg.Group, s.src.consumer, "count", n/of, "block", max(wait.Milliseconds(), 1), "streams")
	for i := range of {
		s.args = append(s.args, cfg.Streams[(s.turn+i)%len(cfg.Streams)])
	}
	s.turn = (s.turn + of) % len(cfg.Streams)
	for range of {
		s.args = append(s.args, ">")
	}
	var unblocking sync.WaitGroup
	unblocking.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer unblocking.Done()
		if s.readerID != 0 {
			_ = s.client.ClientUnblock(context.WithoutCancel(ctx), s.readerID).Err() // else the wait ends by itself
		}
	})
	answer, err := s.do(s.args...)
	if !stop() {
		unblocking.Wait()
	}
	if err != nil {
		return err
	}
	s.rest, err = streams(s.rest, cfg.Streams, answer)
	if err != nil {
		return err
	}
	return s.drop()
}

// do runs a command on the reader's connection; no ctx ends it.
func (s *session) do(args ...any) (any, error) {
	answer, err := s.reader.Do(context.Background(), args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return answer, err
}

// Settle implements [queue.Session].
func (s *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	if err := s.desk.Settle(v.Action == queue.Requeue, m.Tag); err != nil {
		return fmt.Errorf("settle entry: %w", err)
	}
	return nil
}

// AckAll implements [queue.Bulk].
func (s *session) AckAll(_ context.Context, ms []*queue.Message) error {
	tags := make([]uint64, len(ms))
	for i, m := range ms {
		tags[i] = m.Tag
	}
	if err := s.desk.Settle(false, tags...); err != nil {
		return fmt.Errorf("settle entries: %w", err)
	}
	return nil
}

func (s *session) ackAll(stream int, ids []any) error {
	args := append([]any{"xack", s.src.cfg.Streams[stream], s.src.cfg.Group}, ids...)
	return s.client.Do(context.Background(), args...).Err()
}

// giveBack makes entries look as if nobody had worked on them for long, so that
// the next who looks takes them.
func (s *session) giveBack(stream int, ids []any) error {
	return s.touch(context.Background(), stream, ids, s.src.cfg.MinIdle.Std())
}

func (s *session) touch(ctx context.Context, stream int, ids []any, idle time.Duration) error {
	args := append([]any{"xclaim", s.src.cfg.Streams[stream], s.src.cfg.Group, s.src.consumer, 0}, ids...)
	return s.client.Do(ctx, append(args, "idle", idle.Milliseconds(), "justid")...).Err()
}

// Extend implements [queue.Extender]. What another has taken over stays his.
func (s *session) Extend(ctx context.Context, m *queue.Message) error {
	stream, id, ok := s.desk.Look(m.Tag)
	if !ok {
		return nil
	}
	answer, err := s.client.Do(ctx, "xpending", s.src.cfg.Streams[stream], s.src.cfg.Group, id, id, 1, s.src.consumer).Slice()
	if err != nil || len(answer) == 0 {
		return err
	}
	return s.touch(ctx, stream, []any{id}, 0)
}

// Lag implements [queue.Lagger]: what was not delivered, and what was and is not
// acked.
func (s *session) Lag(ctx context.Context) (lag int64, err error) {
	for _, stream := range s.src.cfg.Streams {
		groups, err := s.client.XInfoGroups(ctx, stream).Result()
		if err != nil {
			return 0, fmt.Errorf("ask for lag: %w", err)
		}
		for _, g := range groups {
			if g.Name != s.src.cfg.Group {
				continue
			}
			if g.Lag < 0 {
				return 0, errors.New("ask for lag: entries were deleted, and Redis does not know")
			}
			lag += g.Lag + g.Pending
		}
	}
	return lag, nil
}

// Close implements [queue.Session].
func (s *session) Close(ctx context.Context) error {
	errs := []error{s.giveBackRest()}
	if s.src.cfg.Consumer == "" {
		s.sweepNames(ctx, s.src.consumer, 0)
	}
	errs = append(errs, s.reader.Close(), s.client.Close())
	return errors.Join(errs...)
}

func (s *session) giveBackRest() error {
	for i := range s.src.cfg.Streams {
		var ids []any
		for _, e := range s.rest {
			if e.stream == i {
				ids = append(ids, e.id)
			}
		}
		if len(ids) > 0 {
			if err := s.giveBack(i, ids); err != nil {
				return fmt.Errorf("give entries back: %w", err)
			}
		}
	}
	return nil
}

// sweep takes consumers from a group that have nothing pending. It is a script,
// for a consumer that gets something in between would lose it.
var sweep = redis.NewScript(`
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local of = {}
  for i = 1, #c, 2 do of[c[i]] = c[i + 1] end
  if string.sub(of.name, 1, #ARGV[2]) == ARGV[2] and of.pending == 0 and of.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of.name)
  end
end`)

// sweepNames takes names that begin so and have been idle for long from the
// group. It does not matter if it cannot.
func (s *session) sweepNames(ctx context.Context, prefix string, idle time.Duration) {
	for _, stream := range s.src.cfg.Streams {
		if err := sweep.Run(ctx, s.client, []string{stream}, s.src.cfg.Group, prefix, idle.Milliseconds()).Err(); err != nil && !errors.Is(err, redis.Nil) {
			s.src.log.Debug("take names of old consumers from the group failed", "stream", stream, "error", err)
			return
		}
	}
}
