package later

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// write puts a line of JSON and a body into a file, whole or not at all.
func (s *Store) write(name string, head any, body []byte, until time.Time) error {
	b, err := json.Marshal(head)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("keep request: %w", err)
	}
	err = s.fill(f, append(append(b, '\n'), body...))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Chtimes(f.Name(), until, until) // so that nobody has to read when it is over
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	}
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep request: %w", err)
	}
	return nil
}

func fill(f *os.File, b []byte) error {
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

func (s *Store) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func parse(b []byte, head any) (body []byte, err error) {
	line, body, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return nil, errors.New("no request of ours")
	}
	return body, json.Unmarshal(line, head)
}

// IsID says whether s may be an id, and so the name of a file.
func IsID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// Get returns the answer of a request. Of one that waits, it returns who asked
// and [ErrPending].
func (s *Store) Get(id string, now time.Time) (r Result, err error) {
	if !IsID(id) {
		return r, ErrUnknown
	}
	for range 2 { // an answer may come between the two looks
		if b, err := os.ReadFile(filepath.Join(s.dir, id+answered)); err == nil {
			if r.Body, err = parse(b, &r); err != nil || now.After(r.Until) {
				return Result{}, ErrUnknown
			}
			return r, nil
		}
		if b, err := os.ReadFile(filepath.Join(s.dir, id+asked)); err == nil {
			var q Request
			if _, err := parse(b, &q); err != nil {
				return r, ErrUnknown
			}
			return Result{Route: q.Route, Subject: q.Subject, To: q.To, Until: q.Until}, ErrPending
		}
	}
	return r, ErrUnknown
}

// Delete forgets an answer. A request that waits goes on.
func (s *Store) Delete(id string) error {
	if !IsID(id) {
		return ErrUnknown
	}
	if _, err := os.Stat(filepath.Join(s.dir, id+answered)); err != nil {
		return ErrUnknown
	}
	_ = os.Remove(filepath.Join(s.dir, id+asked)) // it is about to go, now that there is an answer
	if err := os.Remove(filepath.Join(s.dir, id+answered)); err != nil {
		return ErrUnknown
	}
	return nil
}
