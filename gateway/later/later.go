// Package later keeps requests that are to be answered later, and their
// answers, in files: what was put is on the disk, and is done by whichever
// process has the directory, also after a power cut. Several processes may share
// one. It knows no routes: who answers is given.
package later

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	asked    = ".req" // a request that waits for its answer
	answered = ".res"
	// most and mostBytes bound the requests that wait, on the disk.
	most      = 10_000
	mostBytes = 256 << 20
	// mostAnswers and mostAnswerBytes bound the answers that are kept.
	mostAnswers     = 100_000
	mostAnswerBytes = 1 << 30
	// parallel bounds those that are done at once.
	parallel = 32
	scanTime = 2 * time.Second
	// firstPause is before the second attempt; each further one is twice as long,
	// up to mostPause.
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// Request is one that waits. The body stands apart.
type Request struct {
	ID       string      `json:"id"`
	Until    time.Time   `json:"until"`           // it is given up, and its answer forgotten
	Keep     int64       `json:"keep"`            // seconds that the answer is kept
	Attempts int         `json:"attempts"`        // that are left
	Tried    int         `json:"tried,omitempty"` // that are behind it
	MaxBody  int         `json:"maxBody"`         // of the answer
	Method   string      `json:"method"`
	Target   string      `json:"target"` // as the function sees it
	Host     string      `json:"host"`
	Prefix   string      `json:"prefix,omitempty"`
	Peer     string      `json:"peer"`
	TLS      bool        `json:"tls,omitempty"`
	Timeout  int64       `json:"timeout,omitempty"` // nanoseconds, of an attempt; 0: none
	Fields   [][2]string `json:"fields,omitempty"`
	Extra    [][2]string `json:"extra,omitempty"` // fields that are added
	To       string      `json:"to"`              // opaque: who answers
	Route    string      `json:"route,omitempty"`
	Subject  string      `json:"subject,omitempty"`
	Body     []byte      `json:"-"`
}

// Result is an answer.
type Result struct {
	Until   time.Time   `json:"until"`
	Route   string      `json:"route,omitempty"`
	Subject string      `json:"subject,omitempty"`
	To      string      `json:"to"`
	Status  int         `json:"status"`
	Fields  [][2]string `json:"fields,omitempty"`
	Body    []byte      `json:"-"`
}

// Outcome of an attempt.
type Outcome int

// The outcomes.
const (
	Done   Outcome = iota // the result is the answer
	Failed                // the function broke: it may be tried again
	Wait                  // nobody was there yet, or everybody was busy
)

// Errors of the store.
var (
	ErrFull    = errors.New("too many requests wait for their answers")
	ErrUnknown = errors.New("no such request, or its answer is forgotten")
	ErrPending = errors.New("it is not answered yet")
)

// Store is a directory of requests and answers. Its life: New, which makes the
// directory; Run once; Put, Get and Delete from any goroutine.
type Store struct {
	dir string
	do  func(*Request) (Result, Outcome)
	log *slog.Logger

	limits limits
	retry  time.Duration                    // between tries to keep an answer
	fill   func(f *os.File, b []byte) error // writes a file, and has it on the disk

	mu      sync.Mutex
	busy    map[string]bool
	waiting load
	since   load                 // what became more and less since the directory was listed
	again   map[string]time.Time // not before
	fresh   chan string          // ids that were put in here
	slots   chan struct{}
	wg      sync.WaitGroup
}

// load is a number of files and their bytes.
type load struct{ n, bytes int64 }

func (l *load) add(n, bytes int64) {
	l.n += n
	l.bytes += bytes
}

type limits struct{ requests, answers load }

// New makes dir, for nobody else to read.
func New(dir string, do func(*Request) (Result, Outcome), log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of requests: %w", err)
	}
	return &Store{
		dir: dir, do: do, log: log, fill: fill, retry: scanTime, limits: limits{load{most, mostBytes}, load{mostAnswers, mostAnswerBytes}},
		busy: map[string]bool{}, again: map[string]time.Time{}, fresh: make(chan string, 256), slots: make(chan struct{}, parallel),
	}, nil
}

// Put keeps r and returns its new id once it is on the disk. [ErrFull] says that
// too much waits already.
func (s *Store) Put(r Request) (string, error) {
	size := int64(len(r.Body))
	s.mu.Lock()
	full := s.waiting.n >= s.limits.requests.n || s.waiting.bytes+size > s.limits.requests.bytes
	if !full {
		s.count(1, size)
	}
	s.mu.Unlock()
	if full {
		return "", ErrFull
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	r.ID = hex.EncodeToString(id[:])
	if err := s.write(r.ID+asked, r, r.Body, r.Until); err != nil {
		s.uncount(size)
		return "", err
	}
	select {
	case s.fresh <- r.ID:
	default: // it is found when the directory is listed
	}
	return r.ID, nil
}

// count notes requests that came or went; mu is held.
func (s *Store) count(n, bytes int64) {
	s.waiting.add(n, bytes)
	s.since.add(n, bytes)
}

func (s *Store) uncount(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(-1, -size)
}
