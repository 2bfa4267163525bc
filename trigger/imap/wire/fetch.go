package wire

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// About is what is known of a message without its text.
type About struct {
	UID   uint32
	Size  int64
	Date  time.Time // when it came; zero if the server does not say
	Flags []string
}

// Has reports whether the message has a flag.
func (a *About) Has(flag string) bool {
	for _, f := range a.Flags {
		if strings.EqualFold(f, flag) {
			return true
		}
	}
	return false
}

// About asks for messages; those that are not there any more are left out.
func (c *Conn) About(ctx context.Context, uids []uint32) (map[uint32]About, error) {
	out := map[uint32]About{}
	for _, n := range uids {
		out[n] = About{}
	}
	err := c.by(ctx, func(x *Response) error {
		f := fetched(x)
		if _, asked := out[f.UID]; asked && f.UID != 0 && f.sized {
			out[f.UID] = f.About
		}
		return nil
	}, "UID FETCH "+numbers(uids)+" (UID FLAGS INTERNALDATE RFC822.SIZE)")
	if err != nil {
		return nil, fmt.Errorf("ask for messages: %w", err)
	}
	for n, a := range out {
		if a.UID == 0 {
			delete(out, n)
		}
	}
	return out, nil
}

// Text fetches the first bytes of a message, without a change to it; nil if it is
// not there any more.
func (c *Conn) Text(ctx context.Context, uid uint32, most int64) (text []byte, err error) {
	err = c.by(ctx, func(x *Response) error {
		if f := fetched(x); f.UID == uid && f.text != nil {
			text = f.text
		}
		return nil
	}, fmt.Sprintf("UID FETCH %d (UID BODY.PEEK[]<0.%d>)", uid, most))
	if err != nil {
		return nil, fmt.Errorf("fetch message %d: %w", uid, err)
	}
	return text, nil
}

// answer is what a FETCH has of a message.
type answer struct {
	About
	text  []byte
	sized bool
}

// fetched reads a FETCH: pairs of a name and a value.
func fetched(x *Response) (f answer) {
	if x.Kind != "FETCH" || len(x.Values) != 1 {
		return f
	}
	l := x.Values[0].List
	for i := 0; i+1 < len(l); i += 2 {
		v := string(l[i+1].Data[:min(len(l[i+1].Data), 64)])
		switch name := strings.ToUpper(string(l[i].Data)); {
		case name == "UID":
			n, err := strconv.ParseUint(v, 10, 32)
			if err == nil {
				f.UID = uint32(n)
			}
		case name == "RFC822.SIZE":
			n, err := strconv.ParseInt(v, 10, 64)
			f.Size, f.sized = n, err == nil
		case name == "INTERNALDATE":
			f.Date, _ = time.Parse("_2-Jan-2006 15:04:05 -0700", v) // whoever does not say it has none
		case name == "FLAGS":
			for _, flag := range l[i+1].List {
				f.Flags = append(f.Flags, string(flag.Data))
			}
		case strings.HasPrefix(name, "BODY[]") && !l[i+1].list:
			f.text = l[i+1].Data
			if f.text == nil || bytes.Equal(f.text, []byte("NIL")) {
				f.text = []byte{}
			}
		}
	}
	return f
}
