// Package seen remembers the ids of events that are done, in files of one
// directory, for a window of time. Several processors of one machine may share
// the directory: what one has done the others know. It outlives a processor
// that is killed, though not a machine that loses its power. It knows no
// trigger.
package seen

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Store implements trigger.Seen. Its life: New, which opens nothing; Has and
// Mark from any goroutine; Close.
type Store struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	files map[string]*file // by name; few
}

// New returns the store at dir, which is made when it is first written to.
func New(dir string) *Store {
	return &Store{dir: dir, now: time.Now, files: map[string]*file{}}
}

// sum is what is kept of an id.
type sum [16]byte

// file holds the ids of one trigger in one span of time as long as its window:
// those of the window before now are in this span's file or the one before.
type file struct {
	f    *os.File
	read int64 // how far it was read
	ids  map[sum]bool
}

// Has implements trigger.Seen.
func (s *Store) Has(_ context.Context, trigger string, id []byte, window time.Duration) (bool, error) {
	k := key(trigger, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	now, before, err := s.current(trigger, window)
	if err == nil {
		err = errors.Join(now.catchUp(), before.catchUp())
	}
	if err != nil {
		return false, fmt.Errorf("look up event: %w", err)
	}
	return now.ids[k] || before.ids[k], nil
}

// Mark implements trigger.Seen.
func (s *Store) Mark(_ context.Context, trigger string, id []byte, window time.Duration) error {
	k := key(trigger, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.current(trigger, window)
	if err == nil {
		_, err = f.f.Write(k[:])
	}
	if err != nil {
		return fmt.Errorf("remember event: %w", err)
	}
	f.ids[k] = true
	return nil
}

func key(trigger string, id []byte) (k sum) {
	h := sha256.New()
	_, _ = io.WriteString(h, trigger+"\x00")
	_, _ = h.Write(id)
	copy(k[:], h.Sum(nil))
	return k
}

// current opens the files of this span and the one before, and removes those
// that came before them.
func (s *Store) current(trigger string, window time.Duration) (now, before *file, err error) {
	if window <= 0 {
		return nil, nil, errors.New("the window is empty")
	}
	span := s.now().UnixNano() / int64(window)
	st := stem(trigger, window)
	known := len(s.files)
	if now, err = s.open(st + strconv.FormatInt(span, 10)); err != nil {
		return nil, nil, err
	}
	if before, err = s.open(st + strconv.FormatInt(span-1, 10)); err != nil {
		return nil, nil, err
	}
	if len(s.files) > known {
		s.forget(st, span-1)
	}
	return now, before, nil
}

// forget removes the files of a trigger's earlier spans, also those that a
// processor before this one has left.
func (s *Store) forget(stem string, first int64) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return // it is tried again with the next span
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), stem)
		if n, err := strconv.ParseInt(rest, 10, 64); !ours || err != nil || n >= first {
			continue
		}
		if f := s.files[e.Name()]; f != nil {
			_ = f.f.Close()
			delete(s.files, e.Name())
		}
		_ = os.Remove(filepath.Join(s.dir, e.Name()))
	}
}

// stem begins the names of a trigger's files.
func stem(trigger string, window time.Duration) string {
	k := sha256.Sum256([]byte(trigger))
	return fmt.Sprintf("%x-%d-", k[:8], window.Milliseconds())
}

func (s *Store) open(name string) (*file, error) {
	if f := s.files[name]; f != nil {
		return f, nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s.files[name] = &file{f: f, ids: map[sum]bool{}}
	return s.files[name], s.files[name].catchUp()
}

// catchUp reads what was written since, by whomever. Each id is one write of
// its own to the end of the file. If the disk cuts one short, those behind it
// are not found: their events may run twice.
func (f *file) catchUp() error {
	info, err := f.f.Stat()
	if err != nil || info.Size()-f.read < int64(len(sum{})) {
		return err
	}
	b := make([]byte, (info.Size()-f.read)/int64(len(sum{}))*int64(len(sum{})))
	if _, err := f.f.ReadAt(b, f.read); err != nil {
		return err
	}
	f.read += int64(len(b))
	for ; len(b) > 0; b = b[len(sum{}):] {
		f.ids[sum(b[:len(sum{})])] = true
	}
	return nil
}

// Close closes the files.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.f.Close())
	}
	clear(s.files)
	return errors.Join(errs...)
}
