// Package audit keeps a record of who did what with the control plane, and of
// who was refused: a line of JSON each, in files that are only appended to. It
// knows no operation by name and is given no secrets.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is one thing that was done or refused.
type Record struct {
	// Time when it was asked for.
	Time time.Time `json:"time"`
	// Request is the id that the answer's X-Request-Id has too.
	Request string `json:"request"`
	// Who asked: the name of the token, or the issuer's subject.
	Who string `json:"who"`
	// By what they are known: token, oidc or none.
	By string `json:"by,omitempty"`
	// Token is the id of the token.
	Token string `json:"token,omitempty"`
	// From which address.
	From string `json:"from"`
	// Operation that was asked for, such as functions.write.
	Operation string `json:"operation"`
	// Namespace of the object.
	Namespace string `json:"namespace,omitempty"`
	// Object that it was about.
	Object string `json:"object,omitempty"`
	// Outcome: done, refused or failed.
	Outcome string `json:"outcome"`
	// Status of HTTP that was answered.
	Status int `json:"status"`
}

// Outcomes.
const (
	Done    = "done"
	Refused = "refused" // they may not
	Failed  = "failed"
)

// Sync says when what was recorded is made to survive the machine's death.
type Sync string

// The policies.
const (
	Always Sync = "always" // before whoever asked gets an answer
	Second Sync = "second" // at the first record after a second, and at the end
)

// Options of a Log.
type Options struct {
	Dir   string // made, for its owner alone
	Bytes int64  // of a file before the next one is begun; default 64 MiB
	Files int    // that are kept; default 16
	Sync  Sync   // default Always
}

// Log appends records. It may be used from any goroutine. Its life: New,
// Append and Read, Close.
type Log struct {
	o Options

	mu      sync.Mutex // of the file
	file    *os.File
	size    int64
	written int64 // records
	failed  error // of the last append

	syncing sync.Mutex
	synced  int64
	at      time.Time // of the last sync
}

const (
	current    = "audit.log"
	rotated    = "audit-" // and a time
	timeFormat = "20060102T150405.000000000Z"
	maxLine    = 64 << 10
)

// New returns the log in o.Dir. It opens nothing.
func New(o Options) *Log {
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	if o.Files <= 0 {
		o.Files = 16
	}
	if o.Sync == "" {
		o.Sync = Always
	}
	return &Log{o: o}
}

// Append records r. With Always it is on the disk when Append returns nil.
func (l *Log) Append(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	n, err := l.write(append(line, '\n'))
	if err == nil {
		err = l.sync(n)
	}
	l.mu.Lock()
	l.failed = err
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

// Err is why the last record could not be kept, nil if it was.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *Log) write(line []byte) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size+int64(len(line)) > l.o.Bytes {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	if err != nil {
		// What was written of the line is ended by the next one's: a reader
		// passes over half a line.
		return 0, errors.Join(err, l.drop())
	}
	l.written++
	return l.written, nil
}

// open goes on with the file that there is; a line that a dying machine left
// half written is ended.
func (l *Log) open() error {
	if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(l.o.Dir, current), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, st.Size()
	last := []byte{'\n'}
	if l.size > 0 {
		if _, err := f.ReadAt(last, l.size-1); err != nil {
			return errors.Join(err, l.drop())
		}
	}
	if last[0] != '\n' {
		n, err := f.WriteString("\n")
		l.size += int64(n)
		return err
	}
	return nil
}

func (l *Log) drop() error {
	f := l.file
	l.file = nil
	return f.Close()
}

// rotate begins the next file and removes those that are too many.
func (l *Log) rotate() error {
	if err := errors.Join(l.file.Sync(), l.drop()); err != nil {
		return err
	}
	name := filepath.Join(l.o.Dir, rotated+time.Now().UTC().Format(timeFormat)+".log")
	if err := os.Rename(filepath.Join(l.o.Dir, current), name); err != nil {
		return err
	}
	old, err := l.old()
	if err != nil {
		return err
	}
	for len(old) > l.o.Files-1 {
		if err := os.Remove(old[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		old = old[1:]
	}
	return nil
}

// old are the files before the current one, the oldest first.
func (l *Log) old() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(l.o.Dir, rotated+"*.log"))
	slices.Sort(found)
	return found, err
}

// sync makes the first n records survive. Whoever waits while another syncs
// finds its own record synced too.
func (l *Log) sync(n int64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= n || l.o.Sync == Second && time.Since(l.at) < time.Second {
		return nil
	}
	l.mu.Lock()
	f, upTo := l.file, l.written
	l.mu.Unlock()
	if f != nil {
		// A file that was rotated away meanwhile has been synced by that.
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
	l.synced, l.at = upTo, time.Now()
	return nil
}

// Close ends the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return errors.Join(l.file.Sync(), l.drop())
}

// Query says which records to read.
type Query struct {
	Since     time.Time // zero: all
	Who       string
	Operation string // or what it begins with: "secrets" for "secrets.write"
	Namespace string
	Object    string
	Outcome   string
	Limit     int // the last so many; default 1000
}

func (q Query) wants(r Record) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	return !r.Time.Before(q.Since) && fits(q.Who, r.Who) && fits(q.Namespace, r.Namespace) && fits(q.Object, r.Object) && fits(q.Outcome, r.Outcome) &&
		(fits(q.Operation, r.Operation) || strings.HasPrefix(r.Operation, q.Operation+"."))
}

// Read returns records, the oldest first. It reads the newest files first and
// no more of them than it needs.
func (l *Log) Read(q Query) ([]Record, error) {
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	files, err := l.old()
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	files = append(files, filepath.Join(l.o.Dir, current))
	out := []Record{}
	for _, path := range slices.Backward(files) {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		out = append(matching(text, q), out...)
		if len(out) >= q.Limit {
			return out[len(out)-q.Limit:], nil
		}
	}
	return out, nil
}

// matching returns the records of a file that q wants. What is no record is
// half a line that a dying machine left.
func matching(text []byte, q Query) []Record {
	var out []Record
	for line := range bytes.Lines(text) {
		var r Record
		if len(line) <= maxLine && json.Unmarshal(line, &r) == nil && q.wants(r) {
			out = append(out, r)
		}
	}
	return out
}
