package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"
)

// ServeHTTP takes lines of arrivals as a request's body. The answer 204 means
// that all of them are in the books.
func (b *Book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest) // cut off: none of it counts
		return
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			b.Arrived(line)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// File is a file to which functions append a line for each event, each line by
// one write of a descriptor opened to append, so that many processes may.
type File struct {
	book   *Book
	path   string
	offset int64
}

// Follow reads arrivals from a file, which need not be there yet.
func (b *Book) Follow(path string) *File { return &File{book: b, path: path} }

// Read enters the lines that have been written since it was last called. A line
// that has no end yet is left for later.
func (f *File) Read() error {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return fmt.Errorf("read arrivals: %w", err)
	}
	r := bufio.NewReader(file)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read arrivals: %w", err)
		}
		f.offset += int64(len(line))
		f.book.Arrived(bytes.TrimSuffix(line, []byte("\n")))
	}
}

// Await waits until every confirmed event has arrived or ctx ends; what is
// missing then is in the report. read brings in what has been written, File.Read
// say, and may be nil.
func (b *Book) Await(ctx context.Context, read func() error) (Report, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if read != nil {
			if err := read(); err != nil {
				return b.Report(), err
			}
		}
		r := b.Report()
		if r.Lost.Count == 0 {
			return r, r.Err()
		}
		select {
		case <-ctx.Done():
			return r, r.Err()
		case <-tick.C:
		}
	}
}
