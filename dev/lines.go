package dev

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"sync"

	"github.com/myelin-run/myelin/logline"
)

const (
	keepLines = 20
	longLine  = 64 << 10
)

// lines reads what a processor writes.
type lines struct {
	say func(logline.Line)

	mu   sync.Mutex
	kept []string
}

// read passes lines on until the writer has closed its end. Longer lines than
// 64 KiB come in parts.
func (l *lines) read(from *os.File) {
	defer from.Close()
	r := bufio.NewReaderSize(from, longLine)
	for {
		text, err := r.ReadSlice('\n')
		if line := string(bytes.TrimRight(text, "\r\n")); line != "" {
			parsed := logline.Parse(line)
			l.keep(line)
			l.say(parsed)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (l *lines) keep(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, line)
	if len(l.kept) > keepLines {
		l.kept = l.kept[1:]
	}
}

func (l *lines) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.kept...)
}
