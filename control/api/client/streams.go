package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Event is one event of a watch; its kinds are those of package api.
type Event struct {
	Kind     string
	Function function.Function
	Revision string // from which a watch can be resumed
}

// ErrReset says that changes were missed: watch again from the start.
var ErrReset = errors.New("changes were missed, watch again from the start")

const maxEvent = 4 << 20

// Watch calls f for every function and then for every change, until ctx is
// done, f fails, or the connection ends; it returns why. from is "" or the
// Revision of the last event of a former watch.
func (c *Client) Watch(ctx context.Context, from string, f func(Event) error) error {
	return c.WatchObjects(ctx, "functions", from, Selection{}, func(e ObjectEvent) error {
		ev := Event{Kind: e.Kind, Revision: e.Revision}
		if e.Kind == api.EventPut || e.Kind == api.EventDelete {
			if err := json.Unmarshal(e.Object, &ev.Function); err != nil {
				return fmt.Errorf("watch: %w", err)
			}
		}
		return f(ev)
	})
}

// readEvents reads server-sent events until they end or f fails.
func readEvents(r io.Reader, f func(ObjectEvent) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxEvent)
	var ev ObjectEvent
	for in.Scan() {
		key, value, _ := strings.Cut(in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch key {
		case "event":
			ev.Kind = value
		case "id":
			ev.Revision = value
		case "data":
			ev.Object = json.RawMessage(value)
		case "":
			if ev.Kind == "" {
				continue // a heartbeat
			}
			if ev.Kind == api.EventReset {
				return ErrReset
			}
			if err := f(ev); err != nil {
				return err
			}
			ev = ObjectEvent{}
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return fmt.Errorf("watch: %w", io.ErrUnexpectedEOF)
}

// LogOptions say what of a log to read.
type LogOptions struct {
	Which  string // "function", the default, or "processor"
	Tail   int    // lines; negative: all
	Follow bool   // and what comes, until the context ends
}

// Logs copies the log of a function, or of a version of it as "hello:3", to w.
func (c *Client) Logs(ctx context.Context, name string, o LogOptions, w io.Writer) error {
	q := url.Values{}
	if o.Which != "" {
		q.Set("which", o.Which)
	}
	if o.Tail >= 0 {
		q.Set("tail", strconv.Itoa(o.Tail))
	}
	if o.Follow {
		q.Set("follow", "true")
	}
	resp, err := c.do(ctx, http.MethodGet, c.of(name, "/logs", q), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read log: %w", err)
	}
	return nil
}

// Invoke sends a request to a function and returns whatever it answers; the
// caller closes the body. path is what the function sees, with its query.
func (c *Client) Invoke(ctx context.Context, name, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	path, query, _ := strings.Cut(path, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url(named(name)+"/invoke/"+strings.TrimPrefix(path, "/"), q), body)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", name, err)
	}
	return resp, nil
}

// Build sends a source, a tar.gz, to be built with cfg laid over its own
// configuration, and copies the build's log to w. What the build has against
// the source is a [*problem.Problem].
func (c *Client) Build(ctx context.Context, cfg function.Config, source io.Reader, log io.Writer) (build.Artefact, error) {
	body, send := io.Pipe()
	form := multipart.NewWriter(send)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = send.CloseWithError(fill(form, cfg, source)) // the reader of the pipe gets the error
	}()
	defer func() { body.Close(); <-sent }()
	resp, err := c.do(ctx, http.MethodPost, c.url("/builds", nil), form.FormDataContentType(), body)
	if err != nil {
		return build.Artefact{}, err
	}
	defer resp.Body.Close()
	return readBuild(resp.Body, log)
}

func fill(form *multipart.Writer, cfg function.Config, source io.Reader) error {
	text, err := document.MarshalRevealed(cfg)
	if err != nil {
		return err
	}
	if err := form.WriteField("config", string(text)); err != nil {
		return err
	}
	part, err := form.CreateFormFile("source", "source.tar.gz")
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, source); err != nil {
		return err
	}
	return form.Close()
}

func readBuild(r io.Reader, log io.Writer) (build.Artefact, error) {
	d := json.NewDecoder(r)
	for {
		var ev api.BuildEvent
		if err := d.Decode(&ev); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return build.Artefact{}, fmt.Errorf("read build: %w", err)
		}
		switch {
		case ev.Error != nil:
			return build.Artefact{}, ev.Error
		case ev.Artefact != nil:
			return *ev.Artefact, nil
		}
		if _, err := fmt.Fprintln(log, ev.Log); err != nil {
			return build.Artefact{}, err
		}
	}
}
