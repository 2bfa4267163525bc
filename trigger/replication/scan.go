package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// lsn is a place in the server's log.
type lsn uint64

// String writes it as the server does.
func (l lsn) String() string { return string(l.append(nil)) }

func (l lsn) append(b []byte) []byte {
	b = appendHex(b, uint32(l>>32))
	return appendHex(append(b, '/'), uint32(l)) //nolint:gosec // its lower half
}

// appendHex writes a number as upper case hexadecimal.
func appendHex(b []byte, n uint32) []byte {
	const digits = "0123456789ABCDEF"
	shift := 28
	for shift > 0 && n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&15])
	}
	return b
}

// parseLSN reads what the server writes.
func parseLSN(text string) (lsn, error) {
	high, low, ok := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err != nil || err2 != nil {
		return 0, fmt.Errorf("%.40q is no place in a log such as 0/16B3748", text)
	}
	return lsn(h<<32 | l), nil
}

// epoch is when the server's clock begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// moment is a time of the server's.
func moment(micros int64) time.Time {
	return epoch.Add(time.Duration(micros/1e6) * time.Second).Add(time.Duration(micros%1e6) * time.Microsecond)
}

var errShort = errors.New("the message of the server ends too early")

// scan reads a message of the server. What is behind its end is zero, and bad says
// so afterwards.
type scan struct {
	b   []byte
	bad bool
}

func (s *scan) take(n int) []byte {
	if n < 0 || n > len(s.b) {
		s.bad, s.b = true, nil
		return nil
	}
	out := s.b[:n:n]
	s.b = s.b[n:]
	return out
}

func (s *scan) byte() byte {
	if len(s.b) == 0 {
		s.bad = true
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *scan) uint16() uint16 {
	if len(s.b) < 2 {
		s.bad, s.b = true, nil
		return 0
	}
	n := binary.BigEndian.Uint16(s.b)
	s.b = s.b[2:]
	return n
}

func (s *scan) uint32() uint32 {
	if len(s.b) < 4 {
		s.bad, s.b = true, nil
		return 0
	}
	n := binary.BigEndian.Uint32(s.b)
	s.b = s.b[4:]
	return n
}

func (s *scan) uint64() uint64 {
	if len(s.b) < 8 {
		s.bad, s.b = true, nil
		return 0
	}
	n := binary.BigEndian.Uint64(s.b)
	s.b = s.b[8:]
	return n
}

// text is up to a zero byte.
func (s *scan) text() string {
	i := bytes.IndexByte(s.b, 0)
	if i < 0 {
		s.bad, s.b = true, nil
		return ""
	}
	t := string(s.b[:i])
	s.b = s.b[i+1:]
	return t
}

// err says whether the message ended too early.
func (s *scan) err() error {
	if s.bad {
		return errShort
	}
	return nil
}
