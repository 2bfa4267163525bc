package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func parse(text string) (Request, error) {
	head, err := ReadHead(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		return Request{}, err
	}
	var r Request
	return r, r.Parse(head)
}

func TestRequests(t *testing.T) {
	r, err := parse("\r\nPOST http://Example.com:8080/a?b=c HTTP/1.1\r\nHost: other\r\nX-A: 1\r\nx-b:\t2 \r\nConnection: X-A, close\r\nContent-Length: 5\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Method) != "POST" || string(r.Target) != "/a?b=c" || string(r.Host) != "Example.com:8080" || r.Length != 5 || !r.Close {
		t.Errorf("%+v", r)
	}
	if got := string(AppendFields(nil, r.Fields, nil)); got != "Host: other\r\nx-b: 2\r\n" {
		t.Errorf("fields that go on: %q", got)
	}
	for text, want := range map[string]Request{
		"GET / HTTP/1.0\r\n\r\n":                                                                            {Close: true},
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                                                  {},
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                                             {},
		"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n":           {Length: Chunked, Continue: true},
		"GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n": {Upgrade: []byte("websocket")},
	} {
		r, err := parse(text)
		if err != nil || r.Length != want.Length || r.Close != want.Close || r.Continue != want.Continue || !bytes.Equal(r.Upgrade, want.Upgrade) {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}

// What two readers could understand in two ways is refused.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	const start = "POST / HTTP/1.1\r\nHost: x\r\n"
	for text, status := range map[string]int{
		start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n":    400,
		start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n":    400,
		start + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n":             400,
		start + "Content-Length: 5\r\ncontent-length: 6\r\n\r\n":             400,
		start + "Content-Length: 5, 5\r\n\r\n":                               400,
		start + "Content-Length: +5\r\n\r\n":                                 400,
		start + "Content-Length: 0x5\r\n\r\n":                                400,
		start + "Content-Length: -1\r\n\r\n":                                 400,
		start + "Content-Length:\r\n\r\n":                                    400,
		start + "Content-Length: 99999999999999999999\r\n\r\n":               400,
		start + "Transfer-Encoding: identity\r\n\r\n":                        501,
		start + "Transfer-Encoding: chunked, chunked\r\n\r\n":                501,
		start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n": 501,
		start + "Transfer-Encoding: \vchunked\r\n\r\n":                       400,
		start + "Transfer-Encoding : chunked\r\n\r\n":                        400,
		start + "X: a\r\n b\r\n\r\n":                                         400,
		start + " X: a\r\n\r\n":                                              400,
		start + "X: a\nTransfer-Encoding: chunked\r\n\r\n":                   400,
		start + "X: a\rY: b\r\n\r\n":                                         400,
		start + "X: a\x00b\r\n\r\n":                                          400,
		start + "X\r\n\r\n":                                                  400,
		start + ": a\r\n\r\n":                                                400,
		start + "X Y: a\r\n\r\n":                                             400,
		start + "Host: y\r\n\r\n":                                            400,
		start + "Expect: something\r\n\r\n":                                  417,
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n":              400,
		"GET / HTTP/1.1\r\n\r\n":                                             400,
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n":                                400,
		"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n":                                400,
		"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n":                               400,
		"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n":                               400,
		"GET  / HTTP/1.1\r\nHost: x\r\n\r\n":                                 400,
		"GET a HTTP/1.1\r\nHost: x\r\n\r\n":                                  400,
		"GET / HTTP/2.0\r\nHost: x\r\n\r\n":                                  505,
		"GET / http/1.1\r\nHost: x\r\n\r\n":                                  505,
		"GET /\r\nHost: x\r\n\r\n":                                           400,
		"G(T / HTTP/1.1\r\nHost: x\r\n\r\n":                                  400,
		"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n":                           405,
		"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n":                                400,
	} {
		_, err := parse(text)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Status != status {
			t.Errorf("%q: %v, want %d", text, err, status)
		}
	}
}

func TestHeadsThatAreNotWhole(t *testing.T) {
	for text, want := range map[string]error{"": io.EOF, "\r\n": io.EOF, "GET / HT": io.ErrUnexpectedEOF, "GET / HTTP/1.1\r\nHost: x\r\n": io.ErrUnexpectedEOF, strings.Repeat("x", 5000): bufio.ErrBufferFull} {
		if _, err := parse(text); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", text, err, want)
		}
	}
}

func body(text string, length int64) (string, *bufio.Reader, error) {
	br := bufio.NewReader(iotest.OneByteReader(strings.NewReader(text)))
	var b Body
	b.Reset(br, length)
	got, err := io.ReadAll(&b)
	if err == nil && !b.Done() {
		err = errors.New("not done")
	}
	return string(got), br, err
}

func TestBodies(t *testing.T) {
	for _, c := range []struct {
		text   string
		length int64
		want   string
		rest   string
	}{
		{"hello, more", 5, "hello", ", more"},
		{"more", 0, "", "more"},
		{"5\r\nhello\r\n1;name=value\r\n!\r\n0\r\n\r\nmore", Chunked, "hello!", "more"},
		{"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nmore", Chunked, "0123456789", "more"},
		{"all of it", TillEOF, "all of it", ""},
	} {
		got, br, err := body(c.text, c.length)
		rest, _ := io.ReadAll(br)
		if err != nil || got != c.want || string(rest) != c.rest {
			t.Errorf("%q: %q, %v, then %q", c.text, got, err, rest)
		}
	}
	for text, length := range map[string]int64{
		"hell": 5, "5\r\nhell": Chunked, "5\r\nhello": Chunked, "5\r\nhello\r\n": Chunked, "0\r\n": Chunked, "": Chunked,
	} {
		if _, _, err := body(text, length); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		"5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "x\r\n", "\r\n", " 5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "-5\r\n",
		"5 5\r\nhello", "fffffffffffffffff\r\n", "5;" + strings.Repeat("x", 300) + "\r\nhello\r\n0\r\n\r\n", "5;\x00\r\nhello\r\n0\r\n\r\n", "0\r\nX: " + strings.Repeat("y", 9000) + "\r\n\r\n",
	} {
		var wrong *Error
		if got, _, err := body(text, Chunked); !errors.As(err, &wrong) || wrong.Status != 400 {
			t.Errorf("%.40q: %q, %v", text, got, err)
		}
	}
}

func TestResponses(t *testing.T) {
	for text, want := range map[string]Response{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n":                            {Status: 200, Length: 3, Declared: -1},
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n":                      {Status: 200, Length: Chunked, Declared: -1},
		"HTTP/1.0 200 OK\r\n\r\n":                                                 {Status: 200, Length: TillEOF, Declared: -1, Close: true},
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n":                  {Status: 304, Declared: 7},
		"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n":                    {Status: 204, Declared: -1},
		"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length:0\r\n\r\n": {Status: 404, Declared: -1, Close: true},
	} {
		var r Response
		if err := r.Parse([]byte(text), false); err != nil || r.Status != want.Status || r.Length != want.Length || r.Declared != want.Declared || r.Close != want.Close {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
	var r Response
	if err := r.Parse([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), true); err != nil || r.Length != 0 || r.Declared != 3 {
		t.Errorf("of a HEAD: %+v, %v", r, err)
	}
	for _, text := range []string{"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 \x00\r\n\r\n"} {
		if err := r.Parse([]byte(text), false); err == nil {
			t.Errorf("%q was taken as %+v", text, r)
		}
	}
}

// Whatever is taken, the standard library takes as well and understands alike,
// and what is written from it is the same request again.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET http://h/ HTTP/1.1\r\nHost: x\r\nConnection: close, Y\r\nY: z\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		br := bufio.NewReaderSize(bytes.NewReader(b), 4096)
		head, err := ReadHead(br, nil)
		if err != nil {
			return
		}
		var r Request
		if r.Parse(head) != nil {
			return
		}
		var mine Body
		mine.Reset(br, r.Length)
		got, gotErr := io.ReadAll(&mine)
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return // it is stricter with URLs and hosts
		}
		theirs, theirErr := io.ReadAll(std.Body)
		if gotErr == nil && (theirErr != nil || !bytes.Equal(got, theirs)) {
			t.Errorf("body %q, the library has %q, %v", got, theirs, theirErr)
		}
		again := AppendFields(AppendFirst(nil, r.Method, r.Target, r.Host), r.Fields, func(f *Field) bool { return f.Is("host") })
		again = append(AppendLength(again, r.Length), "\r\n"...)
		var second Request
		if err := second.Parse(again); err != nil || second.Length != r.Length || !bytes.Equal(second.Target, r.Target) || !bytes.Equal(second.Host, r.Host) {
			t.Errorf("written again as %q: %+v, %v", again, second, err)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), false)
	f.Add([]byte("HTTP/1.0 404\r\n\r\nabc"), true)
	f.Fuzz(func(t *testing.T, b []byte, ofHead bool) {
		br := bufio.NewReaderSize(bytes.NewReader(b), 4096)
		head, err := ReadHead(br, nil)
		if err != nil {
			return
		}
		var r Response
		if r.Parse(head, ofHead) != nil {
			return
		}
		var body Body
		body.Reset(br, r.Length)
		_, _ = io.ReadAll(&body)
		if r.Status < 100 || r.Status > 999 || r.Length < TillEOF {
			t.Errorf("%+v", r)
		}
	})
}

// Chunks that are written are read again, however they arrive.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("hello"), 2)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		size = max(1, size%1000)
		var out []byte
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			out, rest = AppendChunk(out, rest[:n]), rest[n:]
		}
		got, _, err := body(string(append(out, "0\r\n\r\n"...)), Chunked)
		if err != nil || got != string(b) {
			t.Errorf("%q became %q, %v", b, got, err)
		}
	})
}
