package rabbitmq

import (
	"fmt"
	"slices"
	"sync"

	"github.com/myelin-run/myelin/trigger/queue"
)

// sender is the part of a channel that tells the broker.
type sender interface {
	Ack(tag uint64, multiple bool) error
	Nack(tag uint64, multiple, requeue bool) error
}

// ledger tells the broker what becomes of messages, several in one frame where
// they can be: whoever settles a message while nobody writes to the broker does
// so, and goes on for those who settle theirs in the meantime. An ack of all up
// to a message is only sent if none before it is open, or to go back.
type ledger struct {
	send sender

	mu      sync.Mutex
	entries []entry // of what the broker waits for, and a few more, by rising tag
	news    []note  // settled, and not told
	spare   []note
	busy    bool // somebody writes
	err     error
}

type entry struct {
	tag   uint64
	state state
}

type state uint8

const (
	unsettled state = iota
	acked           // and not told
	told
)

type note struct {
	tag    uint64
	action queue.Action
}

// open notes messages that came, in the order of their tags.
func (l *ledger) open(ms []*queue.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		l.entries = append(l.entries, entry{tag: m.Tag})
	}
}

func (l *ledger) find(tag uint64) *entry {
	i, ok := slices.BinarySearchFunc(l.entries, tag, func(e entry, tag uint64) int {
		switch {
		case e.tag < tag:
			return -1
		case e.tag > tag:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &l.entries[i]
}

func (l *ledger) settle(tag uint64, a queue.Action) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.note(tag, a); err != nil {
		return err
	}
	return l.tell()
}

func (l *ledger) ackAll(ms []*queue.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		if err := l.note(m.Tag, queue.Ack); err != nil {
			return err
		}
	}
	return l.tell()
}

func (l *ledger) note(tag uint64, a queue.Action) error {
	e := l.find(tag)
	if e == nil || e.state != unsettled {
		return fmt.Errorf("delivery %d is not open", tag)
	}
	if a == queue.Ack {
		e.state = acked
	}
	l.news = append(l.news, note{tag, a})
	return nil
}

// tell writes until there are no news, unless somebody does so already. It
// gives mu up while it writes.
func (l *ledger) tell() error {
	if l.busy {
		return l.err
	}
	l.busy = true
	for len(l.news) > 0 && l.err == nil {
		batch := l.news
		l.news, l.spare = l.spare[:0], nil
		l.err = l.flush(batch)
		l.spare = batch
	}
	l.busy = false
	return l.err
}

func (l *ledger) flush(batch []note) error {
	for _, n := range batch { // first: no ack of several may go over them
		if n.action == queue.Ack {
			continue
		}
		if err := l.away(func() error { return l.send.Nack(n.tag, false, n.action == queue.Requeue) }); err != nil {
			return err
		}
		l.find(n.tag).state = told
	}
	if err := l.ackFront(); err != nil {
		return err
	}
	for _, n := range batch {
		e := l.find(n.tag)
		if e == nil || e.state != acked {
			continue
		}
		e.state = told
		if err := l.away(func() error { return l.send.Ack(n.tag, false) }); err != nil {
			return err
		}
	}
	l.tidy()
	return nil
}

// ackFront acks the messages at the front that nothing open is between.
func (l *ledger) ackFront() error {
	last, count, i := uint64(0), 0, 0
	for ; i < len(l.entries) && l.entries[i].state != unsettled; i++ {
		if l.entries[i].state == acked {
			last = l.entries[i].tag
			count++
		}
	}
	l.entries = slices.Delete(l.entries, 0, i)
	if count == 0 {
		return nil
	}
	return l.away(func() error { return l.send.Ack(last, count > 1) })
}

// tidy forgets what is told behind a message that stays open for long.
func (l *ledger) tidy() {
	const few = 64
	if len(l.entries) < few {
		return
	}
	done := 0
	for _, e := range l.entries {
		if e.state == told {
			done++
		}
	}
	if done > len(l.entries)/2 {
		l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return e.state == told })
	}
}

func (l *ledger) away(write func() error) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return write()
}
