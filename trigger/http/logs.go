package http

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
)

// maxLogsHeader bounds the value of X-Nuclio-Logs in bytes: clients and proxies
// refuse responses whose headers are much larger.
const maxLogsHeader = 4 << 10

// logLevel reads X-Nuclio-Log-Level; any other text asks for nothing.
func logLevel(v []byte) (level slog.Level, asked bool) {
	if len(v) == 0 {
		return 0, false
	}
	switch string(v) {
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return 0, false
}

// logsHeader is the value of X-Nuclio-Logs: a JSON array in ASCII, each record
// {"time": <unix milliseconds>, "level", "message", and its fields}. If all of
// them are too long, the oldest go, and a first record says how many.
func logsHeader(records []event.LogRecord) []byte {
	var kept [][]byte // newest first
	room := maxLogsHeader - len("[]")
	for i := len(records) - 1; i >= 0; i-- {
		b := logJSON(&records[i])
		need := len(b) + 1
		if i > 0 {
			need += len(droppedJSON(i)) + 1
		}
		if need > room {
			kept = append(kept, droppedJSON(i+1))
			break
		}
		kept = append(kept, b)
		room -= len(b) + 1
	}
	out := []byte{'['}
	for i := len(kept) - 1; i >= 0; i-- {
		out = append(out, kept[i]...)
		if i > 0 {
			out = append(out, ',')
		}
	}
	return append(out, ']')
}

// droppedJSON is the record that stands for n others.
func droppedJSON(n int) []byte {
	return []byte(`{"level":"warn","message":"log records left out, the header is full","truncated":` + strconv.Itoa(n) + `}`)
}

func logJSON(r *event.LogRecord) []byte {
	m := make(map[string]any, 3+len(r.With))
	for _, a := range r.With {
		key := a.Key
		switch key {
		case "time", "level", "message", "truncated":
			key = "with." + key
		}
		m[key] = attrValue(a.Value)
	}
	m["time"] = float64(r.Time.UnixMicro()) / 1000
	m["level"] = levelName(r.Level)
	m["message"] = r.Message
	b, err := json.Marshal(m)
	if err != nil { // a value that has no JSON, such as a channel
		b, _ = json.Marshal(map[string]any{"time": m["time"], "level": m["level"], "message": r.Message, "error": err.Error()})
	}
	return ascii(b)
}

func attrValue(v slog.Value) any {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindDuration:
		return v.Duration().String()
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindGroup:
		m := make(map[string]any, len(v.Group()))
		for _, a := range v.Group() {
			m[a.Key] = attrValue(a.Value)
		}
		return m
	}
	if err, ok := v.Any().(error); ok {
		return err.Error()
	}
	return v.Any()
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// ascii writes all but ASCII in JSON text as \u escapes.
func ascii(b []byte) []byte {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		if r < 0x7f {
			out = append(out, byte(r))
			continue
		}
		units := []rune{r}
		if r > 0xffff {
			units = []rune{0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff}
		}
		for _, u := range units {
			out = append(out, '\\', 'u', digits[u>>12&15], digits[u>>8&15], digits[u>>4&15], digits[u&15])
		}
	}
	return out
}
