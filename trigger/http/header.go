package http

import (
	"io"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

// setHeader adds a header of the function to the response. A name that is no
// HTTP token is left out; control characters in a value become spaces, so that
// no value can end its header and begin another. What frames the message is
// the server's own and left out as well.
func setHeader(out *fasthttp.Response, f *event.Field, typed bool) {
	if !token(f.Key) {
		return
	}
	if len(f.Key) > 6 {
		switch {
		case strings.EqualFold(f.Key, fasthttp.HeaderContentLength),
			strings.EqualFold(f.Key, fasthttp.HeaderTransferEncoding),
			strings.EqualFold(f.Key, fasthttp.HeaderTrailer),
			typed && strings.EqualFold(f.Key, fasthttp.HeaderContentType):
			return
		}
	}
	out.Header.Add(f.Key, clean(f.Value))
}

// token says that s may be the name of a header.
func token(s string) bool {
	for i := range len(s) {
		b := s[i]
		if b <= ' ' || b > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return s != ""
}

// clean returns s with each control character but tab made a space.
func clean(s string) string {
	for i := range len(s) {
		if control(s[i]) {
			return replaceControls(s)
		}
	}
	return s
}

func control(b byte) bool { return b < ' ' && b != '\t' || b == 0x7f }

func replaceControls(s string) string {
	b := []byte(s)
	for i := range b {
		if control(b[i]) {
			b[i] = ' '
		}
	}
	return string(b)
}

// readStream gathers a stream for a client that cannot take it in chunks.
func readStream(out *fasthttp.Response, r io.ReadCloser) {
	_, err := io.Copy(out.BodyWriter(), r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fail(out, fasthttp.StatusInternalServerError, err.Error())
	}
}
