// Package access writes the gateway's access log: a line for each request, as
// JSON or in the common format, to a file that is rotated. It knows what a line
// says and nothing of how requests are served.
package access

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Options of a log.
type Options struct {
	File string `json:"file"`
	// Format is json (default) or common.
	Format string `json:"format,omitempty"`
	// Sample is the share of requests that is logged, 0 to 1; those that
	// failed are logged all. Default 1.
	Sample float64 `json:"sample,omitempty"`
	// MaxMiB is when the file is rotated, default 64; MaxFiles how many are
	// kept, default 3.
	MaxMiB   int `json:"maxMiB,omitempty"`
	MaxFiles int `json:"maxFiles,omitempty"`
}

// Validate says what is wrong with o.
func (o Options) Validate() error {
	switch {
	case o.File == "":
		return errors.New("the access log has no file")
	case o.Format != "" && o.Format != "json" && o.Format != "common":
		return fmt.Errorf("access log: format %q is neither json nor common", o.Format)
	case !(o.Sample >= 0 && o.Sample <= 1):
		return fmt.Errorf("access log: a sample of %g is not between 0 and 1", o.Sample)
	}
	return nil
}

// Line is what is told of a request.
type Line struct {
	Time                                time.Time
	Took                                time.Duration
	Peer, Subject, Method, Host, Target string
	Proto                               string
	Status                              int
	Sent                                int64
	Route, Function, Version            string
	Agent, Referer                      string
}

// Log is an open log. Its life: New, which opens nothing; Run once; Write from
// any goroutine, also before and after Run, when nothing is flushed.
type Log struct {
	o   Options
	out *lumberjack.Logger
	mu  sync.Mutex
	w   *bufio.Writer
	b   []byte
}

// New returns a log.
func New(o Options) *Log {
	if o.Sample == 0 {
		o.Sample = 1
	}
	if o.MaxMiB == 0 {
		o.MaxMiB = 64
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 3
	}
	out := &lumberjack.Logger{Filename: o.File, MaxSize: o.MaxMiB, MaxBackups: o.MaxFiles}
	return &Log{o: o, out: out, w: bufio.NewWriterSize(out, 32<<10)}
}

// Run sees to it that what was written reaches the file within a second, until
// ctx is done.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			_ = l.w.Flush() // it is said when the log is closed
			l.mu.Unlock()
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			return errors.Join(l.w.Flush(), l.out.Close())
		}
	}
}

// Wanted says whether a request is in the sample.
func (l *Log) Wanted(status int) bool {
	return l != nil && (l.o.Sample >= 1 || status >= 500 || rand.Float64() < l.o.Sample)
}

// Write appends a line. Passwords and keys have no place in one; the values of
// the query are left out, as they may be such.
func (l *Log) Write(x *Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.b[:0]
	if l.o.Format == "common" {
		b = x.common(b)
	} else {
		b = x.json(b)
	}
	l.b = b
	_, _ = l.w.Write(append(b, '\n')) // the next flush fails again and is told
}

func (x *Line) json(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = x.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, '"')
	for _, f := range []struct{ name, value string }{
		{"peer", x.Peer}, {"subject", x.Subject}, {"method", x.Method}, {"host", x.Host}, {"target", bare(x.Target)}, {"proto", x.Proto},
		{"route", x.Route}, {"function", x.Function}, {"version", x.Version}, {"agent", x.Agent}, {"referer", bare(x.Referer)},
	} {
		if f.value != "" {
			b = append(append(append(b, `,"`...), f.name...), `":`...)
			b = quote(b, f.value)
		}
	}
	b = strconv.AppendInt(append(b, `,"status":`...), int64(x.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), x.Sent, 10)
	b = strconv.AppendInt(append(b, `,"micros":`...), int64(x.Took/time.Microsecond), 10)
	return append(b, '}')
}

// quote appends s as JSON, with what is not text made so.
func quote(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r == utf8.RuneError && n == 1:
			b = append(b, "\ufffd"...)
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return append(b, '"')
}

// common is the format of NCSA, extended with referer and agent.
func (x *Line) common(b []byte) []byte {
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	b = append(append(append(b, dash(x.Peer)...), " - "...), word(dash(x.Subject))...)
	b = x.Time.AppendFormat(append(b, " ["...), "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] `...)
	b = quote(b, x.Method+" "+bare(x.Target)+" "+x.Proto)
	b = strconv.AppendInt(append(b, ' '), int64(x.Status), 10)
	b = strconv.AppendInt(append(b, ' '), x.Sent, 10)
	b = quote(append(b, ' '), dash(bare(x.Referer)))
	return quote(append(b, ' '), dash(x.Agent))
}

func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '"' {
			return '_'
		}
		return r
	}, s)
}

// bare is a target with the names of its query and without their values.
func bare(target string) string {
	path, query, ok := strings.Cut(target, "?")
	if !ok {
		return target
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		parts[i], _, _ = strings.Cut(p, "=")
	}
	return path + "?" + strings.Join(parts, "&")
}
