package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

var _ stream.Watched = (*Source)(nil)

// Watch implements [stream.Watched]. What came to a shard without a checkpoint
// waits only if the group begins at the start: else nobody can tell later what
// came while there was no member.
func (s *Source) Watch() (trigger.Waiter, error) {
	switch s.begins.Where {
	case trigger.Earliest:
	case trigger.Anywhere:
		if s.cfg.InitialOffset != "latest" {
			break
		}
		fallthrough
	default:
		return nil, errors.New("records that come to a shard without a checkpoint would be missed unless the group begins at the earliest, so one replica stays")
	}
	return &watcher{src: s, marks: map[shard]int64{}}, nil
}

// watcher compares the group's checkpoints with the ends of the shards, without
// being a member.
type watcher struct {
	src   *Source
	cl    *kgo.Client // nil: not connected
	lines *link.Lines
	// marks are ends of shards before which, from the checkpoint on, are no
	// records but the marks that transactions leave.
	marks map[shard]int64
}

// gap is what lies between a checkpoint and the end of a shard.
type gap struct{ from, end int64 }

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (int64, error) {
	if err := w.connect(); err != nil {
		return 0, err
	}
	uncut := context.AfterFunc(ctx, w.lines.Cut)
	n, err := w.ask(ctx)
	if !uncut() || err != nil {
		w.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("ask for group %q: %w", w.src.cfg.ConsumerGroup, w.src.explain(err))
	}
	return n, nil
}

func (w *watcher) connect() error {
	if w.cl != nil {
		return nil
	}
	base, lines, err := w.src.cluster().Base()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(base...)
	if err != nil {
		return w.src.explain(err)
	}
	w.cl, w.lines = cl, lines
	return nil
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.cl != nil {
		w.cl.Close()
		w.cl = nil
	}
}

func (w *watcher) ask(ctx context.Context) (n int64, err error) {
	gaps, err := w.gaps(ctx)
	if err != nil {
		return 0, err
	}
	maps.DeleteFunc(gaps, func(s shard, g gap) bool { return w.marks[s] == g.end })
	if len(gaps) > 0 {
		if err := w.look(ctx, gaps); err != nil {
			return 0, err
		}
	}
	for _, g := range gaps {
		n += g.end - g.from
	}
	return n, nil
}

// gaps are the shards whose checkpoint is not at their end.
func (w *watcher) gaps(ctx context.Context) (map[shard]gap, error) {
	adm := kadm.NewClient(w.cl)
	topics, err := w.topics(ctx, adm)
	if err != nil || len(topics) == 0 {
		return nil, err
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	list := adm.ListEndOffsets
	if w.src.committedOnly() {
		list = adm.ListCommittedOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		return nil, err
	}
	kept, err := adm.FetchOffsets(ctx, w.src.cfg.ConsumerGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	return between(starts, ends, kept)
}

func between(starts, ends kadm.ListedOffsets, kept kadm.OffsetResponses) (map[shard]gap, error) {
	gaps := map[shard]gap{}
	var wrong error
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if err := errors.Join(end.Err, start.Err); err != nil || !ok {
			wrong = errors.Join(wrong, err)
			return
		}
		g := gap{start.Offset, end.Offset}
		if c, ok := kept.Lookup(end.Topic, end.Partition); ok && c.Err == nil && c.At >= g.from && c.At <= g.end {
			g.from = c.At
		}
		if g.from < g.end {
			gaps[shard{end.Topic, end.Partition}] = g
		}
	})
	return gaps, wrong
}

// topics are those of the spec that are there.
func (w *watcher) topics(ctx context.Context, adm *kadm.Client) (names []string, err error) {
	ask := w.src.cfg.Topics
	if w.src.cfg.patterns() {
		ask = nil // all
	}
	there, err := adm.ListTopics(ctx, ask...)
	if err != nil {
		return nil, err
	}
	for name, t := range there {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition), t.IsInternal, !w.src.cfg.names(name):
		case t.Err != nil:
			return nil, t.Err
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// names says whether a topic is among those of the spec.
func (c *Config) names(topic string) bool {
	for _, t := range c.Topics {
		if t == topic {
			return true
		}
		if strings.HasPrefix(t, "^") {
			if re, err := regexp.Compile(t); err == nil && re.MatchString(topic) {
				return true
			}
		}
	}
	return false
}

// look reads in gaps until there is a record that is more than a mark. It deletes
// those in which there are marks only.
func (w *watcher) look(ctx context.Context, gaps map[shard]gap) error {
	opts, lines, err := w.src.cluster().Base()
	if err != nil {
		return err
	}
	at := map[string]map[int32]kgo.Offset{}
	for s, g := range gaps {
		if at[s.topic] == nil {
			at[s.topic] = map[int32]kgo.Offset{}
		}
		at[s.topic][s.n] = kgo.NewOffset().At(g.from)
	}
	opts = append(opts, kgo.ConsumePartitions(at), kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(64<<10))
	if w.src.committedOnly() {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	defer context.AfterFunc(ctx, lines.Cut)()
	for len(gaps) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if !r.Attrs.IsControl() {
				return nil
			}
			s := shard{r.Topic, r.Partition}
			if g, ok := gaps[s]; ok && r.Offset+1 >= g.end {
				w.marks[s] = g.end
				delete(gaps, s)
			}
		}
	}
	return nil
}
