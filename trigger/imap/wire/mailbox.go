package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrReadOnly says that the mailbox takes no changes.
var ErrReadOnly = errors.New("the mailbox can only be read")

// ErrRenumbered says that the server numbers the messages of the selected mailbox
// anew: what was known by its number is not known any more.
var ErrRenumbered = errors.New("the server numbers the mailbox anew (UIDVALIDITY)")

// Select opens a mailbox, and says for how long its numbers are valid: as long as
// the same validity is told.
func (c *Conn) Select(ctx context.Context, mailbox string) (validity uint32, err error) {
	var readOnly bool
	c.validity = 0
	err = c.do(ctx, func(x *Response) error {
		if v, ok := validityOf(x); ok {
			validity = v
		}
		readOnly = readOnly || strings.EqualFold(x.Code, "READ-ONLY")
		return nil
	}, "SELECT "+Quote(mailbox))
	switch {
	case err != nil:
		return 0, fmt.Errorf("select mailbox %q: %w", mailbox, err)
	case readOnly:
		return 0, fmt.Errorf("select mailbox %q: %w", mailbox, ErrReadOnly)
	case validity == 0:
		return 0, fmt.Errorf("select mailbox %q: the server does not say how long its numbers are valid", mailbox)
	}
	c.validity = validity
	return validity, nil
}

func validityOf(x *Response) (uint32, bool) {
	name, number, _ := strings.Cut(x.Code, " ")
	if !strings.EqualFold(name, "UIDVALIDITY") {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 32)
	return uint32(n), err == nil
}

// by is do for what is done by numbers: it fails when they are not valid any more.
func (c *Conn) by(ctx context.Context, each func(*Response) error, text string) error {
	return c.do(ctx, func(x *Response) error {
		if v, ok := validityOf(x); ok && v != c.validity {
			return ErrRenumbered
		}
		if each != nil {
			return each(x)
		}
		return nil
	}, text)
}

// Ensure makes a mailbox that is not there.
func (c *Conn) Ensure(ctx context.Context, mailbox string) error {
	_, err := c.Status(ctx, mailbox, "UIDVALIDITY")
	if _, absent := errors.AsType[*Refused](err); !absent {
		return err
	}
	if err := c.do(ctx, nil, "CREATE "+Quote(mailbox)); err != nil {
		return fmt.Errorf("make mailbox %q: %w", mailbox, err)
	}
	return nil
}

// Status asks for a number of a mailbox that need not be selected, such as UNSEEN.
func (c *Conn) Status(ctx context.Context, mailbox, item string) (n int64, err error) {
	found := false
	err = c.do(ctx, func(x *Response) error {
		if x.Kind != "STATUS" || len(x.Values) != 2 {
			return nil
		}
		l := x.Values[1].List
		for i := 0; i+1 < len(l); i += 2 {
			if strings.EqualFold(string(l[i].Data), item) {
				n, err = strconv.ParseInt(string(l[i+1].Data), 10, 64)
				found = err == nil
			}
		}
		return nil
	}, "STATUS "+Quote(mailbox)+" ("+item+")")
	if err == nil && !found {
		err = fmt.Errorf("the server does not say its %s", item)
	}
	if err != nil {
		return 0, fmt.Errorf("ask for mailbox %q: %w", mailbox, err)
	}
	return n, nil
}

// Search returns the numbers of the messages that fulfil criteria, in order.
func (c *Conn) Search(ctx context.Context, criteria string) (uids []uint32, err error) {
	err = c.by(ctx, func(x *Response) error {
		if x.Kind != "SEARCH" {
			return nil
		}
		for word := range strings.FieldsSeq(x.Text) {
			n, err := strconv.ParseUint(word, 10, 32)
			if err != nil || n == 0 {
				return fmt.Errorf("%.20q is no number of a message", word)
			}
			uids = append(uids, uint32(n))
		}
		return nil
	}, "UID SEARCH "+criteria)
	if err != nil {
		return nil, fmt.Errorf("search mailbox: %w", err)
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// Store adds a flag to messages; those that are not there any more are left out.
func (c *Conn) Store(ctx context.Context, uids []uint32, flag string) error {
	return c.many(ctx, uids, "set flag", "UID STORE %s +FLAGS.SILENT ("+flag+")")
}

// Move moves messages to another mailbox.
func (c *Conn) Move(ctx context.Context, uids []uint32, mailbox string) error {
	return c.many(ctx, uids, fmt.Sprintf("move to mailbox %q", mailbox), "UID MOVE %s "+strings.ReplaceAll(Quote(mailbox), "%", "%%"))
}

// Expunge removes messages that have the flag \Deleted.
func (c *Conn) Expunge(ctx context.Context, uids []uint32) error {
	return c.many(ctx, uids, "remove", "UID EXPUNGE %s")
}

// atOnce is how many messages one command names.
const atOnce = 200

func (c *Conn) many(ctx context.Context, uids []uint32, what, format string) error {
	for some := range slices.Chunk(uids, atOnce) {
		if err := c.by(ctx, nil, fmt.Sprintf(format, numbers(some))); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// numbers writes a set of numbers, each by itself: a range would name messages
// that are not meant.
func numbers(uids []uint32) string {
	var b []byte
	for i, n := range uids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return string(b)
}

// Idle waits until messages come, wake or ctx is done, or for no longer than most.
func (c *Conn) Idle(ctx context.Context, wake <-chan struct{}, most time.Duration) error {
	tag, err := c.send("IDLE")
	if err == nil {
		err = c.more(ctx, tag)
	}
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	t := time.NewTimer(most)
	defer t.Stop()
	for waits := true; waits && !c.news; {
		select {
		case x := <-c.responses:
			c.note(x)
			if v, ok := validityOf(x); ok && v != c.validity {
				return ErrRenumbered
			}
			if x.Tag != "*" || x.Kind == "BYE" {
				return fmt.Errorf("idle: the server ends it: %.20s %.200q", x.Kind, x.Text)
			}
		case <-c.ended:
			return fmt.Errorf("idle: the server closed the connection: %w", c.err)
		case <-wake:
			waits = false
		case <-t.C:
			waits = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := c.write("DONE"); err != nil {
		return err
	}
	return c.answer(ctx, tag, nil)
}
