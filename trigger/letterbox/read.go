package letterbox

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/trigger/letter"
)

const suffix = ".json"

// Kept is a letter of a Box.
type Kept struct {
	ID   string `json:"id"`
	Size int64  `json:"size"` // of the letter's text, in bytes
	letter.Letter
}

// Problem is a file of the directory that is no letter.
type Problem struct {
	ID     string `json:"id"`
	Detail string `json:"detail"`
}

type entry struct {
	name string
	size int64
	time time.Time
}

// entries lists the letters there are, the oldest first.
func (b *Box) entries() ([]entry, error) {
	files, err := os.ReadDir(b.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list letters: %w", err)
	}
	var out []entry
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok || !valid(name) || !f.Type().IsRegular() {
			continue
		}
		info, err := f.Info()
		if err != nil { // removed meanwhile
			continue
		}
		out = append(out, entry{name, info.Size(), info.ModTime()})
	}
	slices.SortFunc(out, func(x, y entry) int { return cmp.Or(x.time.Compare(y.time), cmp.Compare(x.name, y.name)) })
	return out, nil
}

// valid keeps ids from being paths.
func valid(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// Count returns how many letters there are.
func (b *Box) Count() (int, error) {
	entries, err := b.entries()
	return len(entries), err
}

// place is where an entry stands in the order, also once it is removed.
func (e entry) place() string { return fmt.Sprintf("%016x-%s", e.time.UnixNano(), e.name) }

// List returns up to limit letters (all if 0), the oldest first, that came
// after the place that an earlier List named, "" for the first ones. If there
// are more, next is what to give for after. Files that are no letters are told
// apart.
func (b *Box) List(after string, limit int) (kept []Kept, problems []Problem, next string, err error) {
	entries, err := b.entries()
	if err != nil {
		return nil, nil, "", err
	}
	at := slices.IndexFunc(entries, func(e entry) bool { return e.place() > after })
	if at < 0 {
		return nil, nil, "", nil
	}
	if entries = entries[at:]; limit > 0 && len(entries) > limit {
		entries, next = entries[:limit], entries[limit-1].place()
	}
	for _, e := range entries {
		k, err := b.Get(e.name)
		switch {
		case err == nil:
			kept = append(kept, *k)
		case !errors.Is(err, ErrNotFound): // removed meanwhile
			problems = append(problems, Problem{e.name, err.Error()})
		}
	}
	return kept, problems, next, nil
}

// Get returns one letter.
func (b *Box) Get(id string) (*Kept, error) {
	if !valid(id) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	text, err := read(filepath.Join(b.o.Dir, id+suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read letter: %w", err)
	}
	l, err := letter.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("letter %s: %w", id, err)
	}
	return &Kept{ID: id, Size: int64(len(text)), Letter: *l}, nil
}

// read reads a file that a function, which owns the directory, may have put
// there: no link is followed, and nothing is waited for.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a file")
	case info.Size() > MaxLetter:
		return nil, fmt.Errorf("%d bytes are too many", info.Size())
	}
	return io.ReadAll(io.LimitReader(f, MaxLetter))
}

// Remove removes a letter; one that is not there is ErrNotFound.
func (b *Box) Remove(id string) error {
	if !valid(id) {
		return fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	err := os.Remove(filepath.Join(b.o.Dir, id+suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return fmt.Errorf("remove letter: %w", err)
	}
	return nil
}
