package later

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Run has requests answered until ctx is done; then it waits for those under
// way.
func (s *Store) Run(ctx context.Context) error {
	defer s.wg.Wait()
	tick := time.NewTicker(scanTime)
	defer tick.Stop()
	s.scan(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.scan(ctx)
		case id := <-s.fresh:
			s.begin(ctx, id, time.Now())
		}
	}
}

// scan lists the directory: it begins what waits, counts anew what is there, which
// other processes change too, and clears away what is over.
func (s *Store) scan(ctx context.Context) {
	s.mu.Lock()
	s.since = load{}
	s.mu.Unlock()
	now := time.Now()
	d, err := os.ReadDir(s.dir)
	if err != nil {
		s.log.Warn("look for requests that wait", "error", err)
		return
	}
	var ids []string
	var waits load
	var kept []file
	for _, f := range d {
		st, err := f.Info()
		if err != nil {
			continue // it has just gone
		}
		name := f.Name()
		switch id, kind := strings.TrimSuffix(strings.TrimSuffix(name, asked), answered), filepath.Ext(name); {
		case kind == asked && IsID(id):
			ids = append(ids, id)
			waits.add(1, st.Size())
		case kind == answered && IsID(id):
			kept = append(kept, file{name, st.Size(), st.ModTime()})
		case strings.HasPrefix(name, ".new-") && now.Sub(st.ModTime()) > time.Hour:
			_ = os.Remove(filepath.Join(s.dir, name)) // of a process that died
		}
	}
	s.mu.Lock()
	s.waiting = s.since // what changed meanwhile is counted twice at most, until the next time
	s.waiting.add(waits.n, waits.bytes)
	s.mu.Unlock()
	s.forget(kept, now)
	for _, id := range ids {
		if !s.begin(ctx, id, now) {
			return
		}
	}
}

// file is one of the directory.
type file struct {
	name  string
	size  int64
	until time.Time
}

// forget removes answers whose time is over, and those whose time is over next if
// there are too many.
func (s *Store) forget(all []file, now time.Time) {
	slices.SortFunc(all, func(a, b file) int { return a.until.Compare(b.until) })
	var sum load
	for _, f := range all {
		sum.add(1, f.size)
	}
	early := 0
	for _, f := range all {
		over := now.After(f.until)
		if !over && sum.n <= s.limits.answers.n && sum.bytes <= s.limits.answers.bytes {
			break
		}
		if !over {
			early++
		}
		sum.add(-1, -f.size)
		_ = os.Remove(filepath.Join(s.dir, f.name)) // another process may have done so
	}
	if early > 0 {
		s.log.Warn("answers were forgotten before their time, for there are too many", "answers", early)
	}
}

// begin has a request answered, unless somebody does or it is too early. False:
// the store ends.
func (s *Store) begin(ctx context.Context, id string, now time.Time) bool {
	s.mu.Lock()
	if s.busy[id] || now.Before(s.again[id]) {
		s.mu.Unlock()
		return true
	}
	s.busy[id] = true
	s.mu.Unlock()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		s.leave(id, 0)
		return false
	}
	s.wg.Go(func() {
		pause := s.answer(ctx, id)
		s.leave(id, pause)
		<-s.slots
	})
	return true
}

func (s *Store) leave(id string, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, id)
	if delete(s.again, id); pause > 0 {
		s.again[id] = time.Now().Add(pause)
	}
}

// answer does a request once, and says when to try again.
func (s *Store) answer(ctx context.Context, id string) (pause time.Duration) {
	path := filepath.Join(s.dir, id+asked)
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return scanTime // another process has it
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return scanTime
	}
	if _, err := os.Stat(path); err != nil {
		return 0 // it was done by who had the lock before
	}
	if _, err := os.Stat(filepath.Join(s.dir, id+answered)); err == nil {
		_ = os.Remove(path) // who answered it died before it could do this
		return 0
	}
	var r Request
	if r.Body, err = parse(b, &r); err != nil || r.ID != id {
		s.log.Warn("drop a file that is no request", "file", path)
		_ = os.Remove(path)
		return 0
	}
	return s.once(ctx, &r, path)
}

func (s *Store) once(ctx context.Context, r *Request, path string) time.Duration {
	size := int64(len(r.Body))
	res := Result{Status: 504}
	if left := time.Until(r.Until); left > 0 {
		var outcome Outcome
		res, outcome = s.do(r)
		switch {
		case outcome == Wait:
			return firstPause
		case outcome == Failed && r.Attempts > 1:
			r.Attempts--
			r.Tried++
			if err := s.write(r.ID+asked, r, r.Body, r.Until); err != nil {
				s.log.Warn("note an attempt", "error", err)
			}
			return pause(r.Tried)
		}
	}
	res.Until, res.Route, res.Subject, res.To = time.Now().Add(time.Duration(r.Keep)*time.Second), r.Route, r.Subject, r.To
	if !s.keep(ctx, r.ID, &res) {
		return scanTime
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("remove a request that was answered", "error", err)
	}
	s.uncount(size)
	return 0
}

// pause is how long a request waits for its next attempt.
func pause(tried int) time.Duration {
	return min(firstPause<<min(tried-1, 10), mostPause)
}

// keep writes an answer. While it cannot, the disk being full, it tries again
// rather than have the request done once more; false: the store ends.
func (s *Store) keep(ctx context.Context, id string, res *Result) bool {
	for tries := 0; ; tries++ {
		err := s.write(id+answered, res, res.Body, res.Until)
		if err == nil {
			return true
		}
		if tries == 0 {
			s.log.Warn("keep an answer; trying again until it can be kept", "error", err)
		}
		again := time.NewTimer(s.retry)
		select {
		case <-ctx.Done():
			again.Stop()
			return false
		case <-again.C:
		}
	}
}
