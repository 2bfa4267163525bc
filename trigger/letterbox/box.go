// Package letterbox keeps letters as files of one directory. The processors of
// a function put them in; whoever serves the function's owner lists, reads and
// removes them, and does so without asking a processor. It is durable, needs no
// server, and takes a letter that comes twice for one. It knows no trigger.
package letterbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/myelin-run/myelin/trigger/letter"
)

// Defaults and bounds of a Box.
const (
	DefaultLetters = 100_000
	DefaultBytes   = 1 << 30
	// MaxLetter is the largest letter, in bytes of its text, that a Box reads.
	MaxLetter = 256 << 20
)

// ErrFull says that a letter has to wait until others are removed.
var ErrFull = errors.New("letterbox is full")

// ErrNotFound says that there is no letter of an id.
var ErrNotFound = errors.New("no such letter")

// Options say where and how much a Box keeps.
type Options struct {
	Dir     string // made, for its owner alone, when the first letter comes
	Letters int    // most letters; default DefaultLetters
	Bytes   int64  // most bytes of all; default DefaultBytes
}

// Box implements trigger.Destination. It may be used from any goroutine, and
// the directory by several processes at once.
type Box struct {
	o Options

	mu      sync.Mutex
	letters int // as last counted, and what was put in since: others may have removed some
	bytes   int64
	counted bool
}

// New returns the box at o.Dir. It opens nothing.
func New(o Options) *Box {
	if o.Letters <= 0 {
		o.Letters = DefaultLetters
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	return &Box{o: o}
}

// Name is the id by which a Box knows a letter.
func Name(l *letter.Letter) string {
	sum := sha256.Sum256([]byte(l.Trigger + "\x00" + l.Reason + "\x00" + l.ID))
	return hex.EncodeToString(sum[:16])
}

// Send keeps l; it is on the disk when Send returns nil. A full box is
// ErrFull, which may pass.
func (b *Box) Send(_ context.Context, l *letter.Letter) error {
	text, err := letter.Encode(l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.room(int64(len(text))); err != nil {
		return err
	}
	if err := os.MkdirAll(b.o.Dir, 0o700); err != nil {
		return fmt.Errorf("make letterbox: %w", err)
	}
	if err := b.write(Name(l), text); err != nil {
		return fmt.Errorf("keep letter: %w", err)
	}
	b.letters++
	b.bytes += int64(len(text))
	return nil
}

// room counts what is there, if it has not or if there seems to be too much.
func (b *Box) room(n int64) error {
	over := func() bool { return b.letters >= b.o.Letters || b.bytes+n > b.o.Bytes }
	if b.counted && !over() {
		return nil
	}
	entries, err := b.entries()
	if err != nil {
		return err
	}
	b.letters, b.bytes, b.counted = len(entries), 0, true
	for _, e := range entries {
		b.bytes += e.size
	}
	if over() {
		return fmt.Errorf("%w: %d letters, %d bytes", ErrFull, b.letters, b.bytes)
	}
	return nil
}

// write makes the file whole or not at all, and so that it outlives a power cut.
func (b *Box) write(name string, text []byte) (err error) {
	temp, err := os.CreateTemp(b.o.Dir, ".new")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), filepath.Join(b.o.Dir, name+suffix))
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return err
	}
	dir, err := os.Open(b.o.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
