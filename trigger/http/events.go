package http

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/http/live"
)

const (
	eventStream = "text/event-stream"
	// heartbeat is how often a stream of events on which nothing is said has a
	// comment: proxies end connections that are silent.
	heartbeat = 15 * time.Second
)

// subscribe turns the response into a stream of what is published on the
// channels, which begins with what the function answered.
func (s *server) subscribe(ctx *fasthttp.RequestCtx, resp *event.Response, w *wishes) {
	if !bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), []byte(eventStream)) {
		refuse(resp, http.StatusNotAcceptable, "the client does not accept "+eventStream)
		return
	}
	c, err := s.hub.Open()
	if err != nil {
		refuse(resp, http.StatusServiceUnavailable, err.Error())
		return
	}
	for _, name := range w.subscribe {
		if err := c.Subscribe(name); err != nil {
			c.End(err)
			refuse(resp, http.StatusInternalServerError, err.Error())
			return
		}
	}
	f := &feed{client: c, ending: s.hub.Ending(), out: []byte(":\n\n")} // what is sent at once tells the client that it hears
	if m := messageOf(w, resp, false); len(m.Body) > 0 && !w.told() {
		f.out = appendEvent(f.out, m)
	}
	if resp.Owner != nil {
		resp.Owner.Release()
		resp.View, resp.Owner = nil, nil
	}
	resp.Body, resp.Stream, resp.ContentType = resp.Body[:0], f, eventStream
	resp.SetHeader("Cache-Control", "no-cache")
	resp.SetHeader("X-Accel-Buffering", "no") // for proxies that gather
}

// refuse makes another response of it.
func refuse(resp *event.Response, status int, message string) {
	if resp.Owner != nil {
		resp.Owner.Release()
		resp.View, resp.Owner = nil, nil
	}
	resp.Status, resp.ContentType = status, textPlain
	resp.Body = append(resp.Body[:0], message...)
}

// feed is the stream of one subscriber. It ends when the client has gone, reads
// too slowly, or the trigger drains: the client then comes again.
type feed struct {
	client *live.Client
	ending <-chan struct{}
	out    []byte // that was not read yet
}

// Read implements [io.Reader].
func (f *feed) Read(b []byte) (int, error) {
	if len(f.out) == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, f.out)
	f.out = f.out[n:]
	return n, nil
}

// next waits for something to say.
func (f *feed) next() error {
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	for {
		ms, err := f.client.Take()
		if err != nil {
			return ended(err)
		}
		f.out = f.out[:0]
		for _, m := range ms {
			f.out = appendEvent(f.out, m)
		}
		if len(f.out) > 0 {
			return nil
		}
		select {
		case <-f.client.Waits():
		case <-f.client.Gone():
		case <-f.ending:
			return io.EOF
		case <-beat.C:
			f.out = append(f.out, ":\n\n"...)
			return nil
		}
	}
}

// ended says how a stream ends whose client was ended.
func ended(why error) error {
	if errors.Is(why, live.ErrGone) {
		return io.EOF
	}
	return why
}

// Cancel implements [event.Canceller].
func (f *feed) Cancel() { f.client.End(live.ErrGone) }

// Close implements [io.Closer].
func (f *feed) Close() error {
	f.client.End(live.ErrGone)
	return nil
}

// appendEvent writes a message as the format of text/event-stream has it: each
// line of the body is one of data.
func appendEvent(b []byte, m *live.Message) []byte {
	if m.ID != "" {
		b = append(append(append(b, "id: "...), clean(m.ID)...), '\n')
	}
	if m.Name != "" {
		b = append(append(append(b, "event: "...), clean(m.Name)...), '\n')
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(m.Body))
	for l := range strings.SplitSeq(text, "\n") {
		b = append(append(append(b, "data: "...), l...), '\n')
	}
	return append(b, '\n')
}
