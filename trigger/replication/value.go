package replication

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"
)

// The numbers of the types that are not written as text.
const (
	typeBool        = 16
	typeBytea       = 17
	typeInt8        = 20
	typeInt2        = 21
	typeInt4        = 23
	typeOID         = 26
	typeJSON        = 114
	typeFloat4      = 700
	typeFloat8      = 701
	typeTimestamp   = 1114
	typeTimestamptz = 1184
	typeNumeric     = 1700
	typeJSONB       = 3802
)

// appendValue writes the text of a value as JSON. What is not as its type says is
// written as text.
func appendValue(b []byte, kind uint32, text []byte, decimals bool) []byte {
	switch kind {
	case typeInt2, typeInt4, typeInt8, typeOID, typeFloat4, typeFloat8:
		if isNumber(text) {
			return append(b, text...)
		}
	case typeNumeric:
		if decimals && isNumber(text) {
			return append(b, text...)
		}
	case typeBool:
		switch string(text) {
		case "t":
			return append(b, "true"...)
		case "f":
			return append(b, "false"...)
		}
	case typeJSON, typeJSONB:
		if utf8.Valid(text) && json.Valid(text) {
			return append(b, text...)
		}
	case typeBytea:
		if out, ok := appendBytes(b, text); ok {
			return out
		}
	case typeTimestamp, typeTimestamptz:
		if out, ok := appendTime(b, kind, text); ok {
			return out
		}
	}
	return appendString(b, text)
}

// appendBytes writes what the server writes as \x and hexadecimal as base64.
func appendBytes(b, text []byte) ([]byte, bool) {
	if len(text) < 2 || text[0] != '\\' || text[1] != 'x' || len(text)%2 != 0 {
		return b, false
	}
	raw := make([]byte, len(text)/2-1)
	if _, err := hex.Decode(raw, text[2:]); err != nil {
		return b, false
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, raw)
	return append(b, '"'), true
}

// appendTime writes a time as RFC 3339 has it, and one without a zone without one.
// Infinity and what was before the year 1 is text.
func appendTime(b []byte, kind uint32, text []byte) ([]byte, bool) {
	const shortest = len("2006-01-02 15:04:05")
	day := text
	if kind == typeTimestamptz {
		n := len(text) - len("+00")
		if n < shortest || string(text[n:]) != "+00" {
			return b, false
		}
		day = text[:n]
	}
	if len(day) < shortest || day[10] != ' ' {
		return b, false
	}
	for _, c := range day[11:] {
		if (c < '0' || c > '9') && c != ':' && c != '.' {
			return b, false
		}
	}
	for _, c := range day[:10] {
		if (c < '0' || c > '9') && c != '-' {
			return b, false
		}
	}
	b = append(append(append(b, '"'), day[:10]...), 'T')
	b = append(b, day[11:]...)
	if kind == typeTimestamptz {
		b = append(b, 'Z')
	}
	return append(b, '"'), true
}

// isNumber says whether a text is a number of JSON.
func isNumber(text []byte) bool {
	digits := func() bool {
		i := 0
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		text = text[i:]
		return i > 0
	}
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	if len(text) > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9' || !digits() {
		return false
	}
	if len(text) > 0 && text[0] == '.' {
		if text = text[1:]; !digits() {
			return false
		}
	}
	if len(text) > 0 && (text[0] == 'e' || text[0] == 'E') {
		text = text[1:]
		if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(text) == 0
}

// appendString writes JSON text; what is no UTF-8 is replaced.
func appendString(b, s []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRune(s[i:]); r != utf8.RuneError || n != 1 {
				i += n
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = utf8.AppendRune(b, utf8.RuneError)
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
