package wire

import (
	"bytes"
	"strconv"
)

// Response is the head of an answer.
type Response struct {
	Status int
	Reason []byte
	Minor  int
	Fields Fields
	Length int64 // of the body that follows: a number, Chunked or TillEOF
	// Declared is what Content-Length says of a body that does not follow: the
	// answer to a HEAD; -1 if nothing is said.
	Declared int64
	Close    bool
}

// Parse reads a head, which ends in an empty line. head tells whether the
// request was a HEAD. r aliases b; the memory of its fields is used again.
func (r *Response) Parse(b []byte, head bool) error {
	first, rest, err := line(b)
	if err != nil {
		return err
	}
	*r = Response{Fields: r.Fields, Declared: -1}
	if len(first) < 12 || string(first[:7]) != "HTTP/1." || first[8] != ' ' || len(first) > 12 && first[12] != ' ' {
		return bad("the first line is no answer")
	}
	switch first[7] {
	case '1':
		r.Minor = 1
	case '0':
	default:
		return bad("an answer of HTTP/1.%c", first[7])
	}
	for _, c := range first[9:12] {
		if c < '0' || c > '9' {
			return bad("the first line has no status")
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 {
		return bad("the status is %d", r.Status)
	}
	if len(first) > 13 {
		r.Reason = first[13:]
	}
	if !isValue(r.Reason) {
		return bad("the first line has a control character")
	}
	var fr framing
	if r.Fields, err = r.Fields.parse(rest, &fr); err != nil {
		return err
	}
	r.settle(&fr, head)
	return nil
}

func (r *Response) settle(fr *framing, head bool) {
	r.Close = fr.close || r.Minor == 0 && !fr.keep
	switch r.Length = fr.length; {
	case head || r.Status == 204 || r.Status == 304 || r.Status < 200:
		if fr.length >= 0 && r.Status >= 200 && r.Status != 204 {
			r.Declared = fr.length
		}
		r.Length = 0
	case r.Length == -3:
		r.Length, r.Close = TillEOF, true
	}
}

// AppendStatus appends the first line of an answer.
func AppendStatus(b []byte, status int, reason []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(strconv.AppendInt(b, int64(status), 10), ' ')
	return append(append(b, reason...), "\r\n"...)
}

var end = []byte("\r\n\r\n")

// HeadEnd finds where a head ends, looking from the byte at; -1: not yet.
func HeadEnd(b []byte, at int) int {
	i := bytes.Index(b[at:], end)
	if i < 0 {
		return -1
	}
	return at + i + len(end)
}
