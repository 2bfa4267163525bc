package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/myelin-run/myelin/event"
)

// exchange serves one request with h and returns the response.
func exchange(t *testing.T, attributes, request string, h func(*event.Response) error) (status int, header map[string][]string, body string) {
	t.Helper()
	s := serve(t, attributes, func(_ context.Context, _ *event.Event, resp *event.Response) error { return h(resp) })
	w := dial(t, s.addr)
	w.send(request)
	method, _, _ := strings.Cut(request, " ")
	resp, body := w.recv(method)
	return resp.StatusCode, resp.Header, body
}

const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		body   string
		typ    string
		retry  string
	}{
		{event.ErrTimeout, 408, `{"error": "handler timed out"}`, "application/json", ""},
		{event.Abandon(event.ErrTimeout), 408, `{"error": "handler timed out"}`, "application/json", ""},
		{event.ErrCrashed, 502, `{"error": "worker died while it ran the event"}`, "application/json", ""},
		{event.ErrBusy, 503, `{"error": "no free worker"}`, "application/json", "1"},
		{event.ErrStopping, 503, `{"error": "processor is stopping"}`, "application/json", "1"},
		{event.ErrLater, 202, "", "", ""},
		{event.Errorf(404, "no such thing"), 404, "no such thing", textPlain, ""},
		{fmt.Errorf("invoke: %w", event.Errorf(0, "bad")), 500, "bad", textPlain, ""},
		{event.Permanent(event.Errorf(422, "odd")), 422, "odd", textPlain, ""},
		{event.Errorf(100, "odd status"), 500, "odd status", textPlain, ""},
		{errors.New("any"), 500, "any", textPlain, ""},
	} {
		status, header, body := exchange(t, quick, get, func(resp *event.Response) error {
			resp.Status, resp.Body = 299, append(resp.Body, "not to be sent"...)
			return c.err
		})
		h := func(k string) string { return strings.Join(header[k], ",") }
		if status != c.status || body != c.body || c.typ != "" && h("Content-Type") != c.typ || h("Retry-After") != c.retry {
			t.Errorf("%v: %d %q %v", c.err, status, body, header)
		}
		if !event.Abandoned(c.err) && h("X-Request-Id") == "" {
			t.Errorf("%v: no X-Request-Id", c.err)
		}
	}
}

// The connection goes on after an abandoned event, and HEAD has no body even so.
func TestAbandonedHead(t *testing.T) {
	s := serve(t, quick, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Method) == "HEAD" {
			return event.Abandon(event.ErrTimeout)
		}
		return echo(context.Background(), ev, resp)
	})
	w := dial(t, s.addr)
	w.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + post)
	if resp, body := w.recv("HEAD"); resp.StatusCode != 408 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
	if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("after it: %d %q", resp.StatusCode, body)
	}
}

func TestResponseHeaders(t *testing.T) {
	status, header, body := exchange(t, quick, get, func(resp *event.Response) error {
		resp.Status, resp.ContentType = 201, "text/html"
		resp.Header = []event.Field{
			{Key: "X-Split", Value: "a\r\nX-Injected: yes\r\n\r\nbody"}, {Key: "X-Nul\r\nX-Injected", Value: "yes"},
			{Key: "Set-Cookie", Value: "a=1"}, {Key: "Set-Cookie", Value: "b=2"},
			{Key: "Link", Value: "<1>"}, {Key: "Link", Value: "<2>"},
			{Key: "Content-Length", Value: "3"}, {Key: "transfer-encoding", Value: "chunked"},
			{Key: "content-type", Value: "image/png"}, {Key: "", Value: "nameless"},
		}
		resp.Body = append(resp.Body, "<p>whole</p>"...)
		return nil
	})
	if status != 201 || body != "<p>whole</p>" {
		t.Errorf("%d %q", status, body)
	}
	for k, want := range map[string]string{
		"X-Injected": "", "X-Split": "a  X-Injected: yes    body", "Set-Cookie": "a=1|b=2", "Link": "<1>|<2>",
		"Content-Type": "text/html", "Content-Length": "12",
	} {
		if got := strings.Join(header[k], "|"); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	if _, header, _ := exchange(t, quick, get, func(resp *event.Response) error {
		resp.Header = []event.Field{{Key: "Content-Type", Value: "image/png"}}
		return nil
	}); strings.Join(header["Content-Type"], "|") != "image/png" {
		t.Errorf("a type among the headers: %v", header["Content-Type"])
	}
	if status, _, body := exchange(t, quick, get, func(resp *event.Response) error { resp.Status = 42; return nil }); status != 500 || !strings.Contains(body, "42") {
		t.Errorf("a status of 42: %d %q", status, body)
	}
}

type tracked struct {
	io.Reader
	closed *bool
}

func (r tracked) Close() error { *r.closed = true; return nil }

func TestStream(t *testing.T) {
	long := strings.Repeat("chunk ", 50_000)
	for _, request := range []string{get, "GET / HTTP/1.0\r\n\r\n"} {
		closed := false
		status, header, body := exchange(t, quick, request, func(resp *event.Response) error {
			resp.Stream = tracked{iotest.OneByteReader(strings.NewReader(long)), &closed}
			return nil
		})
		if status != 200 || body != long || !closed {
			t.Errorf("%q: %d, %d bytes, closed %v, %v", request, status, len(body), closed, header)
		}
	}
	closed := false
	if status, _, _ := exchange(t, quick, get, func(resp *event.Response) error {
		resp.Stream = tracked{strings.NewReader(long), &closed}
		return event.Errorf(500, "failed after it opened a stream")
	}); status != 500 || !closed {
		t.Errorf("%d, closed %v", status, closed)
	}
}

// A stream that breaks must not look complete.
func TestStreamBreaks(t *testing.T) {
	s := serve(t, quick, func(_ context.Context, _ *event.Event, resp *event.Response) error {
		resp.Stream = io.NopCloser(io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(errors.New("broke"))))
		return nil
	})
	w := dial(t, s.addr)
	w.send(get)
	all, err := io.ReadAll(w.r)
	if err != nil || !bytes.Contains(all, []byte("begun")) || bytes.HasSuffix(all, []byte("0\r\n\r\n")) {
		t.Errorf("read %q, %v", all, err)
	}
}

func TestLogsHeader(t *testing.T) {
	record := event.LogRecord{Time: time.UnixMilli(1700000000123), Level: slog.LevelWarn, Message: "käse\n\"🧀\"",
		With: []slog.Attr{slog.Int("n", 7), slog.String("level", "mine"), slog.Any("err", errors.New("no")), slog.Any("ch", func() {}), slog.Duration("d", time.Second)}}
	_, header, _ := exchange(t, quick, "GET / HTTP/1.1\r\nHost: h\r\nX-Nuclio-Log-Level: debug\r\n\r\n", func(resp *event.Response) error {
		record.With = record.With[:3]
		resp.Logs = append(resp.Logs, record)
		return event.Errorf(500, "logs come with failures too")
	})
	var got []map[string]any
	if err := json.Unmarshal([]byte(header["X-Nuclio-Logs"][0]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"time": 1700000000123.0, "level": "warn", "message": record.Message, "n": 7.0, "with.level": "mine", "err": "no"}
	for k, v := range want {
		if got[0][k] != v {
			t.Errorf("%s: %v, want %v", k, got[0][k], v)
		}
	}
}

// Logs that are too long lose their oldest records, and say so.
func TestLogsHeaderTruncated(t *testing.T) {
	for n := range 200 {
		records := make([]event.LogRecord, n)
		for i := range records {
			records[i] = event.LogRecord{Message: fmt.Sprint("message ", i, strings.Repeat("x", 40))}
		}
		b := logsHeader(records)
		var got []map[string]any
		if err := json.Unmarshal(b, &got); err != nil || len(b) > maxLogsHeader {
			t.Fatalf("%d records: %d bytes, %v", n, len(b), err)
		}
		dropped := 0
		if n > 0 {
			if d, ok := got[0]["truncated"].(float64); ok {
				dropped = int(d)
				got = got[1:]
			}
		}
		if dropped+len(got) != n {
			t.Fatalf("%d records: %d kept, %d dropped", n, len(got), dropped)
		}
	}
	huge := logsHeader([]event.LogRecord{{Message: strings.Repeat("y", 10_000)}})
	if !bytes.Contains(huge, []byte(`"truncated":1`)) {
		t.Errorf("one huge record: %q", huge)
	}
}

func TestFileStream(t *testing.T) {
	root, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	file := filepath.Join(root, "f.txt")
	for _, f := range []string{file, outside} {
		if err := os.WriteFile(f, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	on := `{"drainLinger":"10ms","fileStreamRoot":"` + root + `"}`
	for _, c := range []struct {
		attributes, path, remove string
		status                   int
		body                     string
	}{
		{on, file, "", 200, "content"},
		{on, "f.txt", "", 200, "content"},
		{on, outside, "", 404, "file not found"},
		{on, "../secret", "", 404, "file not found"},
		{on, filepath.Join(root, "link"), "", 404, "file not found"},
		{on, root, "true", 404, "file not found"},
		{on, filepath.Join(root, "missing"), "", 404, "file not found"},
		{on, "", "", 200, "body"},
		{quick, file, "", 200, "body"},
		{on, file, "true", 200, "content"},
	} {
		status, header, body := exchange(t, c.attributes, get, func(resp *event.Response) error {
			resp.SetHeader("X-nuclio-filestream-path", c.path)
			resp.SetHeader("X-nuclio-filestream-delete-after-send", c.remove)
			resp.Body = append(resp.Body, "body"...)
			return nil
		})
		if status != c.status || body != c.body {
			t.Errorf("%q: %d %q, want %d %q", c.path, status, body, c.status, c.body)
		}
		if c.attributes == on && header["X-Nuclio-Filestream-Path"] != nil {
			t.Errorf("%q: the header was sent on", c.path)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file to delete: %v", err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}
