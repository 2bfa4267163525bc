package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/myelin-run/myelin/trigger/sql/link"
)

// wire is a connection on which the server sends changes.
type wire struct {
	conn  net.Conn
	front *pgproto3.Frontend

	mu   sync.Mutex // one who writes at a time
	word [5 + statusSize]byte
}

const (
	statusSize = 1 + 8 + 8 + 8 + 8 + 1
	writeTime  = 10 * time.Second // bounds telling the server something
	partTime   = 2 * time.Second  // bounds the good-bye
)

// openWire has the server send what the slot has from a place on.
func openWire(ctx context.Context, at *link.Address, c *Config, from lsn) (*wire, error) {
	conn, err := at.Replicate(ctx, map[string]string{"intervalstyle": "iso_8601", "bytea_output": "hex", "client_encoding": "UTF8"})
	if err != nil {
		return nil, explain(err)
	}
	if err := begin(ctx, conn, c, from); err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(end)
		return nil, explain(fmt.Errorf("read slot %s: %w", c.Slot, err))
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	h.Frontend.SetMaxBodyLen(int(c.MaxRow))
	return &wire{conn: h.Conn, front: h.Frontend}, nil
}

func begin(ctx context.Context, conn *pgconn.PgConn, c *Config, from lsn) error {
	text := fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %v (proto_version '1', publication_names '%s')",
		quoted(c.Slot), from, strings.ReplaceAll(quoted(c.Publication), "'", "''"))
	conn.Frontend().SendQuery(&pgproto3.Query{String: text})
	if err := conn.Frontend().Flush(); err != nil {
		return err
	}
	for {
		m, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return fmt.Errorf("the server answered with %T", m)
		}
	}
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// word is what the server sent: a message of pgoutput, or that it is there.
type word struct {
	at      lsn    // of the message; or up to which there is nothing more
	message []byte // nil if there is none; valid until the next word
	asks    bool   // for an answer
}

// has reports whether a part of the next word is there already.
func (w *wire) has() bool { return w.front.ReadBufferLen() > 0 }

// next waits for a word.
func (w *wire) next() (word, error) {
	for {
		m, err := w.front.Receive()
		if err != nil {
			var long *pgproto3.ExceededMaxBodyLenErr
			if errors.As(err, &long) {
				err = fmt.Errorf("a change of %d bytes is larger than the attribute maxRow, %d", long.ActualBodyLen, long.MaxExpectedBodyLen)
			}
			return word{}, err
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			return parseWord(m.Data)
		case *pgproto3.ErrorResponse:
			return word{}, explain(pgconn.ErrorResponseToPgError(m))
		case *pgproto3.CopyDone:
			return word{}, errors.New("the server ended the replication")
		}
	}
}

// parseWord reads what is in a CopyData.
func parseWord(b []byte) (word, error) {
	s := &scan{b: b}
	var w word
	switch kind := s.byte(); kind {
	case 'w':
		w.at = lsn(s.uint64())
		s.uint64()
		s.uint64()
		w.message = s.b
	case 'k':
		w.at = lsn(s.uint64())
		s.uint64()
		w.asks = s.byte() != 0
	default:
		return w, fmt.Errorf("the server sent %q, which is no part of replication", kind)
	}
	return w, s.err()
}

// status tells the server that all before a place is done, and asks it to answer.
func (w *wire) status(done lsn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := append(w.word[:0], 'd', 0, 0, 0, 4+statusSize, 'r')
	for range 3 { // received, kept, applied
		b = binary.BigEndian.AppendUint64(b, uint64(done))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(time.Since(epoch).Microseconds())) //nolint:gosec // it is after 2000
	b = append(b, 1)
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := w.conn.Write(b)
	return err
}

// part says good-bye, and waits until the server has let go of the slot.
func (w *wire) part(done lsn) {
	defer w.conn.Close()
	if w.status(done) != nil {
		return
	}
	until := time.Now().Add(partTime)
	if w.conn.SetDeadline(until) != nil {
		return
	}
	if _, err := w.conn.Write([]byte{'c', 0, 0, 0, 4, 'X', 0, 0, 0, 4}); err == nil { // CopyDone, Terminate
		_, _ = io.Copy(io.Discard, w.conn)
	}
}
