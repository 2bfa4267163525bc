package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve is a server that says what a script has it say, to one client after the
// other. It ends with the test.
func serve(t *testing.T, script func(s *speaker)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				script(&speaker{c, bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// speaker is the server's end of a connection.
type speaker struct {
	net.Conn
	r *bufio.Reader
}

// hears reads a command, and returns its tag.
func (s *speaker) hears() (tag, text string) {
	line, _ := s.r.ReadString('\n')
	tag, text, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return tag, text
}

func (s *speaker) says(format string, args ...any) bool {
	_, err := fmt.Fprintf(s, format+"\r\n", args...)
	return err == nil
}

// welcomes greets and logs in.
func (s *speaker) welcomes() {
	s.says("* OK [CAPABILITY IMAP4rev1 IDLE] here")
	tag, _ := s.hears() // LOGIN
	s.says("%s OK", tag)
	tag, _ = s.hears() // CAPABILITY
	s.says("* CAPABILITY IMAP4rev1 IDLE\r\n%s OK", tag)
}

func dial(t *testing.T, addr string) (*Conn, error) {
	t.Helper()
	c, err := Dial(t.Context(), Options{Address: addr, User: "ann", Password: "hush", Timeout: 20 * time.Second, Literal: 1000})
	if err == nil {
		t.Cleanup(c.Discard)
	}
	return c, err
}

// Whoever greets in any other way is no server to log in at, and hears no password.
func TestGreetings(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		say  func(s *speaker)
		want string
	}{
		"bye":        {func(s *speaker) { s.says("* BYE too many") }, "greets with BYE"},
		"known":      {func(s *speaker) { s.says("* PREAUTH hello") }, "greets with PREAUTH"},
		"web":        {func(s *speaker) { s.says("HTTP/1.1 400 Bad Request") }, "greets with BAD"},
		"nothing":    {func(*speaker) {}, "wait for greeting"},
		"binary":     {func(s *speaker) { s.says("\x00\x01\x02") }, "is none"},
		"half":       {func(s *speaker) { _, _ = s.Write([]byte("* OK")) }, "unexpected EOF"},
		"no end":     {func(s *speaker) { s.endless() }, "a line has more than"},
		"no plain":   {func(s *speaker) { s.says("* OK [CAPABILITY LOGINDISABLED] x") }, "may want TLS"},
		"no answer":  {func(s *speaker) { s.says("* OK [CAPABILITY IMAP4rev1] x"); s.hears() }, "log in: "},
		"wrong word": {func(s *speaker) { s.says("* OK [CAPABILITY X] x"); t, _ := s.hears(); s.says("%s NO [AUTH] no", t) }, ErrLogin.Error()},
		"other tag":  {func(s *speaker) { s.says("* OK [CAPABILITY X] x"); s.hears(); s.says("z9 OK") }, "which was not asked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dial(t, serve(t, x.say))
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("error %.300v, want %q", err, x.want)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// endless sends a line without an end, until nobody listens.
func (s *speaker) endless() {
	_, _ = s.Write([]byte("* "))
	for b := []byte(strings.Repeat("a", 1<<16)); ; {
		if _, err := s.Write(b); err != nil {
			return
		}
	}
}

// A server that does not speak is left after the timeout.
func TestSilence(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(s *speaker) { s.hears() })
	_, err := Dial(t.Context(), Options{Address: addr, Timeout: time.Second})
	if err == nil || !strings.Contains(err.Error(), "did not answer within 1s") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, Options{Address: addr, Timeout: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What is said before TLS begins, to be taken for said within it, ends the connection.
func TestSaidTooEarly(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(s *speaker) {
		s.says("* OK [CAPABILITY IMAP4rev1 STARTTLS] x")
		tag, _ := s.hears()
		s.says("%s OK\r\n* CAPABILITY AUTH=PLAIN", tag)
		s.hears()
	})
	_, err := Dial(t.Context(), Options{Address: addr, StartTLS: true, Timeout: 20 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "speaks out of turn") {
		t.Error(err)
	}
}

// Whatever a server answers to a question for messages, it is taken for no more than
// it is.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		say, want string // the error; "" if there is none
		text      string
	}{
		"text":          {"* 1 FETCH (BODY[]<0> {5}\r\nhello UID 7)\r\n%s OK", "", "hello"},
		"quoted":        {"* 1 FETCH (UID 7 BODY[]<0> \"a \\\"b\\\"\")\r\n%s OK", "", `a "b"`},
		"another":       {"* 1 FETCH (UID 8 BODY[] {5}\r\nhello)\r\n%s OK", "", ""},
		"no number":     {"* 1 FETCH (BODY[] {5}\r\nhello)\r\n%s OK", "", ""},
		"gone":          {"%s OK", "", ""},
		"four GiB":      {"* 1 FETCH (UID 7 BODY[] {4294967296}\r\nhello", "4294967296 bytes are sent, and 1000 at most", ""},
		"two literals":  {"* 1 FETCH (UID 7 A {600}\r\n" + strings.Repeat("x", 600) + " BODY[] {600}\r\n", "600 bytes are sent", ""},
		"negative":      {"* 1 FETCH (UID 7 BODY[] {-1}\r\n", "is no length", ""},
		"cut":           {"* 1 FETCH (UID 7 BODY[] {900}\r\nhello", "unexpected EOF", ""},
		"open list":     {"* 1 FETCH (UID 7\r\n%s OK", "a list has no end", ""},
		"open string":   {"* 1 FETCH (UID 7 BODY[] \"a\r\n%s OK", "a string has no end", ""},
		"deep":          {"* 1 FETCH " + strings.Repeat("(", 100) + "\r\n%s OK", "too deep", ""},
		"many":          {"* 1 FETCH (" + strings.Repeat("a ", 20_000) + ")\r\n%s OK", "too many values", ""},
		"goodbye":       {"* BYE going down", "ends the connection", ""},
		"refused":       {"%s NO [SERVERBUG] no", "the server says NO", ""},
		"renumbered":    {"* OK [UIDVALIDITY 6] anew\r\n%s OK", ErrRenumbered.Error(), ""},
		"unknown":       {"* 3 RECENT\r\n* X (a {2}\r\nbc \"d\")\r\n* FETCH 7\r\n* 1 FETCH NIL\r\n%s OK", "", ""},
		"more is asked": {"+ go on\r\n%s OK", "which was not asked", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := dial(t, serve(t, func(s *speaker) {
				s.welcomes()
				tag, _ := s.hears()
				s.says("* OK [UIDVALIDITY 5] valid\r\n%s OK [READ-WRITE]", tag)
				tag, _ = s.hears()
				_, _ = s.Write([]byte(strings.ReplaceAll(x.say, "%s", tag) + "\r\n"))
				if x.want == "" {
					s.hears()
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			if v, err := c.Select(t.Context(), "INBOX"); v != 5 || err != nil {
				t.Fatal(v, err)
			}
			text, err := c.Text(t.Context(), 7, 999)
			if x.want == "" && (err != nil || string(text) != x.text) || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
				t.Errorf("%q, error %.300v, want %q, %q", text, err, x.text, x.want)
			}
		})
	}
}

// A server that never comes to an end is left, however much it says.
func TestFlood(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(s *speaker) {
		s.welcomes()
		s.hears()
		for s.says("* 1 EXISTS") {
		}
	})
	c, err := Dial(t.Context(), Options{Address: addr, User: "a", Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Discard()
	c.o.Timeout = 20 * time.Millisecond
	if err := c.Noop(t.Context()); err == nil {
		t.Error("it came to an end")
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"INBOX": `"INBOX"`, "a&b": `"a&-b"`, `a"b\`: `"a\"b\\"`, "Entwürfe": `"Entw&APw-rfe"`, "台北": `"&U,BTFw-"`, "a\r\nb": `"a&AA0ACg-b"`, "😀": `"&2D3eAA-"`,
	} {
		if got := Quote(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	if got := numbers([]uint32{1, 2, 4294967295}); got != "1,2,4294967295" {
		t.Error(got)
	}
}

// The reader takes anything: it neither panics nor holds more than it was told to.
func FuzzResponse(f *testing.F) {
	for _, text := range []string{
		"* OK [CAPABILITY IMAP4rev1] x\r\n", "* SEARCH 1 2 3\r\n", "* 1 FETCH (UID 7 FLAGS (\\Seen) BODY[]<0> {2}\r\nab)\r\n", "+ \r\n",
		"a1 NO [X] y\r\n", "* STATUS \"a\\\"b\" (UNSEEN 3)\r\n", "* LIST () NIL {3}\r\nabc\r\n", "* 1 FETCH (BODY[HEADER (A B)] NIL)\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := &reader{bufio.NewReader(strings.NewReader(string(raw))), 100}
		for {
			x, err := r.response()
			if err != nil {
				return
			}
			fetched(x)
			validityOf(x)
			if held(x.Values) > int64(len(raw)) {
				t.Errorf("%d bytes of %d", held(x.Values), len(raw))
			}
		}
	})
}

func held(vs []Value) (n int64) {
	for v := range slices.Values(vs) {
		n += int64(len(v.Data)) + held(v.List)
	}
	return n
}
