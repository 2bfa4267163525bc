package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/myelin-run/myelin/dealer"
)

// stream is one processor's connection.
type stream struct {
	out   chan []dealer.Reply
	ended chan struct{}
	once  sync.Once
}

// tell sends answers, unless the processor does not read: they are states, and
// the next say the same.
func (t *stream) tell(rs []dealer.Reply) {
	select {
	case t.out <- rs:
	default:
	}
}

func (t *stream) end() { t.once.Do(func() { close(t.ended) }) }

// beats serves one stream until the processor or the reign ends it.
func (s *Server) beats(w http.ResponseWriter, r *http.Request) {
	// Without it the server would wait for the end of the body before it says no.
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil {
		http.Error(w, err.Error(), http.StatusHTTPVersionNotSupported)
		return
	}
	dealing := false
	if !s.ask(r.Context(), func() { dealing = s.tables != nil }) || !dealing {
		http.Error(w, "this server does not deal", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Connection", "close") // what is unread at the end would be in the way of a next request
	w.WriteHeader(http.StatusOK)
	if rc.Flush() != nil {
		return
	}
	t := &stream{out: make(chan []dealer.Reply, 16), ended: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { s.answer(t, w, rc, r) })
	s.read(t, r)
	t.end()
	wg.Wait()
	s.ask(r.Context(), func() { s.forget(t) })
}

// read passes on what comes in, line by line.
func (s *Server) read(t *stream, r *http.Request) {
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(make([]byte, 0, 4096), dealer.MaxLine)
	for lines.Scan() {
		calls, err := parse(lines.Bytes())
		if err != nil {
			s.o.Log.Warn("a processor said what is no beat", "error", err)
			return
		}
		for i := range calls {
			if s.o.May != nil && !s.o.May(r, calls[i].Table) {
				s.o.Log.Warn("a stranger asked for a table", "table", calls[i].Table, "processor", calls[i].Beat.Processor)
				return
			}
		}
		select {
		case s.in <- heard{calls, t}:
		case <-t.ended:
			return
		case <-s.done:
			return
		}
	}
}

func parse(line []byte) ([]dealer.Call, error) {
	var calls []dealer.Call
	if err := json.Unmarshal(line, &calls); err != nil {
		return nil, fmt.Errorf("read beats: %w", err)
	}
	for i := range calls {
		if err := calls[i].Check(); err != nil {
			return nil, fmt.Errorf("read beats: %w", err)
		}
	}
	return calls, nil
}

// answer writes what is told until the stream ends, and then has read end too.
func (s *Server) answer(t *stream, w http.ResponseWriter, rc *http.ResponseController, r *http.Request) {
	defer func() { _ = rc.SetReadDeadline(time.Now()) }() // read ends, if it has not
	enc := json.NewEncoder(w)
	for {
		select {
		case rs := <-t.out:
			if rc.SetWriteDeadline(time.Now().Add(s.o.TTL)) != nil || enc.Encode(rs) != nil || rc.Flush() != nil {
				t.end()
				return
			}
		case <-t.ended:
			return
		case <-s.done:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) forget(t *stream) {
	for r, to := range s.routes {
		if to == t {
			delete(s.routes, r)
		}
	}
}
