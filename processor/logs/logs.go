// Package logs opens the two logs of a processor: its own and its function's.
// They are separate streams with separate levels, formats and places. It knows
// nothing of what is logged.
package logs

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/myelin-run/myelin/quantity"
)

// Sink says where a log goes.
type Sink struct {
	// File is a path; "" is standard output, "stderr" standard error.
	File string `json:"file,omitempty"`
	// Level is the lowest level written: debug, info (the default), warn, error.
	Level string `json:"level,omitempty"`
	// Format is text (the default) or json.
	Format string `json:"format,omitempty"`
	// MaxSize is when a file is rotated; default 64 MiB.
	MaxSize quantity.Size `json:"maxSize,omitempty"`
	// MaxFiles is how many rotated files are kept; default 3.
	MaxFiles int `json:"maxFiles,omitempty"`
}

// Validate says what is wrong with s.
func (s Sink) Validate() error {
	if _, err := Level(s.Level); err != nil {
		return err
	}
	switch s.Format {
	case "", "text", "json":
		return nil
	}
	return fmt.Errorf("format: %q is neither text nor json", s.Format)
}

// Open opens s. The closer closes its file and is never nil.
func Open(s Sink) (*slog.Logger, io.Closer, error) {
	if err := s.Validate(); err != nil {
		return nil, nil, err
	}
	level, _ := Level(s.Level)
	w, err := s.writer()
	if err != nil {
		return nil, nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if s.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), w, nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), w, nil
}

// Level reads the name of a level; "" is info.
func Level(name string) (slog.Level, error) {
	switch name {
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("level: %q is none of debug, info, warn, error", name)
}

func (s Sink) writer() (io.WriteCloser, error) {
	switch s.File {
	case "", "stdout":
		return open{os.Stdout}, nil
	case "stderr":
		return open{os.Stderr}, nil
	}
	// A log that cannot be written is told at the start, not at the first line.
	f, err := os.OpenFile(s.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	const mib = 1 << 20
	size, files := int64(s.MaxSize), s.MaxFiles
	if size <= 0 {
		size = 64 * mib
	}
	if files <= 0 {
		files = 3
	}
	return &lumberjack.Logger{Filename: s.File, MaxSize: int((size + mib - 1) / mib), MaxBackups: files}, nil
}

// open is a stream that is the process' own and stays open.
type open struct{ io.Writer }

func (open) Close() error { return nil }
