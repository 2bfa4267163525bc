package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/logline"
)

type invocation struct {
	body, method, path, contentType, level string
	headers                                []string
	timeout                                time.Duration
	raw, raise                             bool
	event                                  string
	to                                     []string
}

func (a *app) invokeCommand() *cobra.Command {
	var v invocation
	c := &cobra.Command{
		Use:   "invoke NAME",
		Short: "Send a request to a function and show its answer",
		Long: "Sends a request through the control plane. On a terminal it shows the function's logs of this request,\n" +
			"the headers and the body; piped, or with --raw, the body alone.",
		Example: "  myelin invoke hello --body World\n  myelin invoke hello -b @photo.jpg -c image/jpeg --raw > small.jpg\n  echo World | myelin invoke hello\n" +
			"  myelin invoke hello --event events.json --to :1 --to :2",
		Args:              oneName("function"),
		ValidArgsFunction: a.completeFunctions,
		RunE:              func(_ *cobra.Command, args []string) error { return a.invoke(withoutNoun(args)[0], v) },
	}
	fs := c.Flags()
	fs.StringVarP(&v.body, "body", "b", "", "`body`, or @file, or - for the standard input (default: the standard input, if it is no terminal)")
	fs.StringVarP(&v.method, "method", "m", "", "HTTP `method` (default GET, POST with a body)")
	fs.StringVarP(&v.path, "path", "p", "/", "`path` that the function sees")
	fs.StringArrayVarP(&v.headers, "headers", "d", nil, "headers as `name=value,...` (repeat)")
	fs.StringVarP(&v.contentType, "content-type", "c", "", "`type` of the body")
	fs.StringVarP(&v.level, "log-level", "l", "info", "lowest `level` of the logs shown: none, debug, info, warn or error")
	fs.DurationVarP(&v.timeout, "timeout", "t", time.Minute, "longest time to wait for the answer")
	fs.BoolVar(&v.raw, "raw", false, "print the body alone")
	fs.BoolVar(&v.raise, "raise-on-status", false, "exit with 1 if the status is 400 or above")
	fs.StringVar(&v.event, "event", "", "`file` of events that myelin capture printed as JSON, - for the standard input: run them again, as if their trigger brought them")
	fs.StringArrayVar(&v.to, "to", nil, "with --event: what runs it: :VERSION, :ALIAS, or another function as NAME, NAME:VERSION (repeat: one after the other)")
	for _, foreign := range []string{"via", "external-ips", "skip-tls"} {
		fs.String(foreign, "", "not needed: the control plane is asked")
		_ = fs.MarkHidden(foreign) // it is there
	}
	return c
}

func (a *app) invoke(name string, v invocation) error {
	ctx, cancel := context.WithTimeout(a.ctx, v.timeout)
	defer cancel()
	if v.event != "" {
		return a.replay(ctx, name, v)
	}
	if len(v.to) > 0 {
		return usage("--to is for events that are run again: give them with --event; a request goes to a version by -d X-Myelin-Version=3")
	}
	c := a.client()
	f, err := c.Function(ctx, name)
	if err != nil {
		return a.asked(err)
	}
	body, err := a.body(v.body)
	if err != nil {
		return err
	}
	header, err := v.header()
	if err != nil {
		return err
	}
	if body != nil && v.method == "" {
		v.method = http.MethodPost
	}
	resp, err := c.Invoke(ctx, f.Metadata.Name, strings.ToUpper(or(v.method, http.MethodGet)), v.path, header, body)
	if err == nil {
		defer resp.Body.Close()
		err = a.showAnswer(resp, v.raw || !a.term.OutTTY)
	}
	if ctx.Err() != nil && a.ctx.Err() == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fail(exitFailed, fmt.Errorf("no answer within %v", v.timeout), "")
	}
	if err != nil {
		return a.asked(err)
	}
	if v.raise && resp.StatusCode >= http.StatusBadRequest {
		return fail(exitFailed, fmt.Errorf("the function answered %s", resp.Status), "")
	}
	return nil
}

// body opens what is to be sent; nil is none.
func (a *app) body(text string) (io.Reader, error) {
	switch {
	case text == "-":
		return a.term.In, nil
	case strings.HasPrefix(text, "@"):
		f, err := os.Open(text[1:])
		if err != nil {
			return nil, usage("--body: %v", err)
		}
		return f, nil // the transport closes it
	case text != "":
		return strings.NewReader(text), nil
	case a.term.InTTY || !piped(a.term.In):
		return nil, nil
	}
	return a.term.In, nil
}

// piped tells whether a stream is a pipe or a file: /dev/null has nothing.
func piped(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && (fi.Mode().IsRegular() && fi.Size() > 0 || fi.Mode()&os.ModeNamedPipe != 0)
}

func (v invocation) header() (http.Header, error) {
	h := http.Header{}
	for _, given := range v.headers {
		for pair := range strings.SplitSeq(given, ",") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || name == "" {
				return nil, usage("--headers %s: want name=value", pair)
			}
			h.Add(strings.TrimSpace(name), value)
		}
	}
	if v.contentType != "" {
		h.Set("Content-Type", v.contentType)
	}
	if !slices.Contains([]string{"none", "debug", "info", "warn", "error"}, v.level) {
		return nil, usage("--log-level %s: want none, debug, info, warn or error", v.level)
	}
	if v.level != "none" && !v.raw {
		h.Set("X-Nuclio-Log-Level", v.level)
	}
	return h, nil
}

const logsHeader = "X-Nuclio-Logs"

func (a *app) showAnswer(resp *http.Response, raw bool) error {
	if logs := resp.Header.Get(logsHeader); logs != "" {
		a.showLogs(logs)
	}
	if raw {
		_, err := io.Copy(a.term.Out, resp.Body)
		return err
	}
	fmt.Fprintf(a.term.Out, "%s %s\n%s\n", a.term.OnOut(terminal.Bold, "> Status:"), resp.Status, a.term.OnOut(terminal.Bold, "> Response headers:"))
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if name != logsHeader {
			fmt.Fprintf(a.term.Out, "%s = %s\n", name, strings.Join(resp.Header[name], ", "))
		}
	}
	fmt.Fprintln(a.term.Out, "\n"+a.term.OnOut(terminal.Bold, "> Response body:"))
	end := &ending{w: a.term.Out}
	_, err := io.Copy(end, resp.Body)
	if end.last != '\n' {
		fmt.Fprintln(a.term.Out)
	}
	return err
}

// ending remembers the last byte, so that a prompt begins on a line of its own.
type ending struct {
	w    io.Writer
	last byte
}

func (e *ending) Write(b []byte) (int, error) {
	if len(b) > 0 {
		e.last = b[len(b)-1]
	}
	return e.w.Write(b)
}

// showLogs writes the function's log records of this request.
func (a *app) showLogs(text string) {
	var records []map[string]any
	if json.Unmarshal([]byte(text), &records) != nil {
		return
	}
	for _, r := range records {
		level, _ := r["level"].(string)
		message, _ := r["message"].(string)
		l := logline.Line{Message: message}
		for _, name := range slices.Sorted(maps.Keys(r)) {
			if name != "level" && name != "message" && name != "time" && name != "name" {
				l.Fields = append(l.Fields, logline.Field{Name: name, Value: fmt.Sprint(r[name])})
			}
		}
		fmt.Fprintf(a.term.Err, "%s %s\n", a.term.OnErr(terminal.Dim, "["+level+"]"), l.Text())
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
