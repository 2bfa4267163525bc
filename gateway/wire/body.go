package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	maxChunkLine = 256
	maxTrailer   = 8 << 10
)

// ReadHead appends the next head, with the empty line that ends it, to b. An
// empty line or two before it are passed over. io.EOF is the end before a
// head; bufio.ErrBufferFull means that the head does not fit into br.
func ReadHead(br *bufio.Reader, b []byte) ([]byte, error) {
	if err := skipEmpty(br); err != nil {
		return b, err
	}
	seen := 0
	for {
		have, err := br.Peek(max(br.Buffered(), seen+1))
		if n := HeadEnd(have, max(0, seen-3)); n >= 0 {
			b = append(b, have[:n]...)
			_, err := br.Discard(n)
			return b, err
		}
		switch {
		case errors.Is(err, io.EOF):
			return b, io.ErrUnexpectedEOF
		case err != nil:
			return b, err
		}
		seen = len(have)
	}
}

func skipEmpty(br *bufio.Reader) error {
	for range 2 {
		c, err := br.Peek(1)
		if err != nil {
			return err
		}
		if c[0] != '\r' {
			return nil
		}
		if c, err = br.Peek(2); err != nil || c[1] != '\n' {
			return bad("a carriage return before the first line")
		}
		_, _ = br.Discard(2) // it is there
	}
	return nil
}

// Body reads the body of a message, and no byte beyond it.
type Body struct {
	br      *bufio.Reader // nil: all of the body is in whole
	whole   []byte
	left    int64 // of the body, or of the chunk
	chunked bool
	tillEOF bool
	begun   bool // a chunk's end has still to be read
	err     error
}

// Reset begins the body of a message whose head has been read from br.
func (b *Body) Reset(br *bufio.Reader, length int64) {
	*b = Body{br: br, left: max(length, 0), chunked: length == Chunked, tillEOF: length == TillEOF}
	if length == 0 {
		b.err = io.EOF
	}
}

// ResetWhole begins a body of which all is there.
func (b *Body) ResetWhole(p []byte) {
	*b = Body{whole: p, left: int64(len(p))}
	if len(p) == 0 {
		b.err = io.EOF
	}
}

// Done says that the whole body has been read.
func (b *Body) Done() bool { return errors.Is(b.err, io.EOF) }

// Ready returns the rest of the body if all of it has come already; it stays
// unread. Chunks are never ready.
func (b *Body) Ready() ([]byte, bool) {
	switch {
	case b.Done():
		return nil, true
	case b.br == nil:
		return b.whole[int64(len(b.whole))-b.left:], b.err == nil
	case b.err != nil || b.chunked || b.tillEOF || b.left > int64(b.br.Buffered()):
		return nil, false
	}
	p, err := b.br.Peek(int(b.left))
	return p, err == nil
}

// Take passes over what Ready returned.
func (b *Body) Take() {
	if b.err == nil {
		if b.br != nil {
			_, b.err = b.br.Discard(int(b.left))
		}
		if b.left = 0; b.err == nil {
			b.err = io.EOF
		}
	}
}

// Pending says whether a Read would return without waiting.
func (b *Body) Pending() bool {
	if b.br == nil {
		return true
	}
	n := b.br.Buffered()
	if b.err != nil || n == 0 || !b.chunked || b.left > 0 {
		return b.err != nil || n > 0
	}
	p, _ := b.br.Peek(n) // they are there
	if b.begun {
		p = p[min(2, n):]
	}
	return bytes.IndexByte(p, '\n') >= 0 // of the line with the next chunk's size
}

// Read implements [io.Reader]. A body that ends too early is an
// io.ErrUnexpectedEOF, chunks that are none an [*Error].
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.br == nil {
		n := copy(p, b.whole[int64(len(b.whole))-b.left:])
		if b.left -= int64(n); b.left == 0 {
			b.err = io.EOF
		}
		return n, nil
	}
	if b.chunked && b.left == 0 {
		if b.err = b.next(); b.err != nil {
			return 0, b.err
		}
	}
	if !b.tillEOF && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.br.Read(p)
	if !b.tillEOF {
		b.left -= int64(n)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	if err == nil && b.left == 0 && !b.chunked && !b.tillEOF {
		b.err = io.EOF
	}
	if err != nil {
		b.err = err
	}
	return n, err
}

// next reads the line that begins a chunk, and after the last one the trailer.
func (b *Body) next() error {
	if b.begun {
		if l, err := b.line(2); err != nil || len(l) > 0 {
			return either(err, "a chunk is longer than it says")
		}
	}
	b.begun = true
	l, err := b.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, digits := int64(0), 0
	for ; digits < len(l); digits++ {
		d := hexDigit(l[digits])
		if d < 0 {
			break
		}
		if digits == 15 {
			return bad("a chunk is too large")
		}
		size = size<<4 | int64(d)
	}
	if rest := trim(l[digits:]); digits == 0 || len(rest) > 0 && rest[0] != ';' || !isValue(rest) {
		return bad("a chunk has no size")
	}
	if b.left = size; size > 0 {
		return nil
	}
	for read := 0; ; {
		l, err := b.line(maxTrailer)
		if err != nil {
			return err
		}
		if len(l) == 0 {
			return io.EOF
		}
		if read += len(l); read > maxTrailer {
			return bad("the trailer is too large")
		}
	}
}

func either(err error, detail string) error {
	if err != nil {
		return err
	}
	return bad("%s", detail)
}

// line reads one line of at most n bytes, which must end in CR LF.
func (b *Body) line(n int) ([]byte, error) {
	for have := 1; ; have++ {
		p, err := b.br.Peek(max(have, min(b.br.Buffered(), n)))
		for i := have - 1; i < len(p); i++ {
			if p[i] != '\n' {
				continue
			}
			if i == 0 || p[i-1] != '\r' {
				return nil, bad("a line of a chunk does not end in CR LF")
			}
			_, err := b.br.Discard(i + 1)
			return p[:i-1], err
		}
		switch {
		case len(p) >= n, errors.Is(err, bufio.ErrBufferFull):
			return nil, bad("a line of a chunk is too long")
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		have = len(p)
	}
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// AppendChunk appends p as a chunk; an empty one ends the body.
func AppendChunk(b, p []byte) []byte {
	const digits = "0123456789abcdef"
	var size [16]byte
	i := len(size)
	for n := len(p); n > 0 || i == len(size); n >>= 4 {
		i--
		size[i] = digits[n&15]
	}
	b = append(append(b, size[i:]...), "\r\n"...)
	return append(append(b, p...), "\r\n"...)
}
