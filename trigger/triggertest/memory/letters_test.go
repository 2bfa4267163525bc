package memory

import (
	"context"
	"strconv"
	"sync"

	"github.com/myelin-run/myelin/trigger/letter"
)

// letters keeps the bodies of letters.
type letters struct {
	mu  sync.Mutex
	got map[int]bool
}

func (l *letters) Send(_ context.Context, x *letter.Letter) error {
	n, err := strconv.Atoi(string(x.Event.Body))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.got == nil {
		l.got = map[int]bool{}
	}
	l.got[n] = true
	return nil
}

func (l *letters) numbers() map[int]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := map[int]bool{}
	for n := range l.got {
		m[n] = true
	}
	return m
}
