package shell

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
)

// objects are events and answers as JSON, one in a line.
type objects struct{}

// described is an event as a command reads it.
type described struct {
	ID          string            `json:"id"`
	Body        *string           `json:"body,omitempty"`
	Bytes       []byte            `json:"bodyBase64,omitempty"` // in place of a body that is no UTF-8
	ContentType string            `json:"contentType,omitempty"`
	Method      string            `json:"method,omitempty"`
	Path        string            `json:"path,omitempty"`
	URL         string            `json:"url,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Fields      map[string]string `json:"fields,omitempty"`
	Timestamp   string            `json:"timestamp"`
	Topic       string            `json:"topic,omitempty"`
	Key         string            `json:"key,omitempty"`
	Shard       *int32            `json:"shard,omitempty"`
	Offset      *int64            `json:"offset,omitempty"`
}

// said is an answer as a command writes it. A text alone is a body.
type said struct {
	Status      int               `json:"status"`
	Body        string            `json:"body"`
	Bytes       []byte            `json:"bodyBase64"`
	ContentType string            `json:"contentType"`
	Headers     map[string]string `json:"headers"`
	Error       *string           `json:"error"` // the event failed
	Permanent   bool              `json:"permanent"`
}

func (objects) check(*event.Event) error { return nil }
func (objects) end() byte                { return '\n' }

func (objects) write(w *bufio.Writer, ev *event.Event) {
	d := described{ID: string(ev.ID), ContentType: string(ev.ContentType), Method: string(ev.Method), Path: string(ev.Path), URL: string(ev.URL),
		Headers: firsts(ev.Headers), Fields: firsts(ev.Fields), Timestamp: ev.Time.UTC().Format(time.RFC3339Nano), Topic: ev.Topic, Key: string(ev.Key)}
	if ev.Shards > 0 {
		d.Shard, d.Offset = &ev.Token.Shard, &ev.Token.Offset
	}
	if utf8.Valid(ev.Body) {
		text := string(ev.Body)
		d.Body = &text
	} else {
		d.Bytes = ev.Body
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(d) // the writer keeps its error
}

// firsts are the first values of all keys.
func firsts(vs event.Values) map[string]string {
	if vs == nil {
		return nil
	}
	all := map[string]string{}
	for k, v := range vs.All() {
		if _, known := all[string(k)]; !known {
			all[string(k)] = string(v)
		}
	}
	return all
}

func (objects) read(answer []byte, in *instance, resp *event.Response) error {
	var s said
	err := strict(answer, &s.Body)
	if err != nil {
		s.Body = ""
		err = strict(answer, &s)
	}
	switch {
	case err != nil:
		return event.Errorf(http.StatusInternalServerError, "the command's answer is neither a text nor an object as expected: %v", err)
	case s.Error != nil:
		failed := event.Errorf(http.StatusInternalServerError, "%s", *s.Error)
		if s.Status >= 400 && s.Status < 600 {
			failed = event.Errorf(s.Status, "%s", *s.Error)
		}
		if s.Permanent {
			return event.Permanent(failed)
		}
		return failed
	case s.Status != 0 && (s.Status < 200 || s.Status > 599):
		return event.Errorf(http.StatusInternalServerError, "the command's answer has status %d", s.Status)
	}
	s.fill(resp)
	return nil
}

func (s *said) fill(resp *event.Response) {
	if s.Status != 0 {
		resp.Status = s.Status
	}
	if s.ContentType != "" {
		resp.ContentType = s.ContentType
	}
	for _, k := range slices.Sorted(maps.Keys(s.Headers)) {
		resp.SetHeader(k, s.Headers[k])
	}
	if resp.Body = append(resp.Body, s.Body...); s.Bytes != nil {
		resp.Body = append(resp.Body[:0], s.Bytes...)
	}
}

// strict reads one value, and nothing that is not known.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more than one value")
	}
	return nil
}
