package exec

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the longest line that [Lines] passes on; the rest of a longer one
// is dropped and counted.
const MaxLine = 16 << 10

// Lines reads r to its end and passes each line to emit, made printable and
// without its newline. Errors of r end it as the end of input does.
func Lines(r io.Reader, emit func(line string)) {
	br := bufio.NewReaderSize(r, MaxLine)
	for {
		line, err := br.ReadSlice('\n')
		text := ""
		if len(line) > 0 {
			text = Printable(strings.TrimRight(string(line), "\r\n"))
		}
		cut := 0
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = br.ReadSlice('\n')
			cut += len(line)
		}
		if cut > 0 {
			text += " ... (" + strconv.Itoa(cut) + " bytes cut)"
		}
		if text != "" {
			emit(text)
		}
		if err != nil {
			return
		}
	}
}

// Printable returns s with bytes that are no UTF-8 and control characters,
// tabs apart, written as escapes.
func Printable(s string) string {
	clean := func(r rune) bool { return r == '\t' || (r != utf8.RuneError && unicode.IsPrint(r)) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case clean(r):
			b.WriteString(s[i : i+n])
		case r == utf8.RuneError && n <= 1:
			b.WriteString(`\x` + string("0123456789abcdef"[s[i]>>4]) + string("0123456789abcdef"[s[i]&15]))
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}
