package once

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is an answer as a log keeps it.
type Record struct {
	Key    string    `json:"k"`
	Sum    []byte    `json:"s"`
	Until  time.Time `json:"u"`
	Answer []byte    `json:"-"` // opaque
}

// Log keeps answers in the files of a directory, so that they outlive the
// process and the machine's power. Several processes may share the directory:
// each writes files of its own, and reads those of all. Its life: NewLog, which
// makes the directory; Load, Put and Forget from any goroutine; Close.
type Log struct {
	dir                 string
	largest, mostOfFile int64

	mu      sync.Mutex
	file    *os.File // nil: none yet
	own     map[string]bool
	files   int   // that this process began
	size    int64 // of file
	written int64 // records

	syncing sync.Mutex
	synced  int64 // records that are on the disk

	reading sync.Mutex
	read    map[string]int64 // how far the files of others were read
}

const (
	suffix     = ".log"
	headBytes  = 8       // length and checksum
	mostRecord = 1 << 28 // a length beyond it is none
)

// NewLog makes dir, for nobody else to read. All files together stay below
// about mostBytes: the oldest go first.
func NewLog(dir string, mostBytes int64) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of answers: %w", err)
	}
	return &Log{dir: dir, largest: mostBytes, mostOfFile: max(mostBytes/16, 1), own: map[string]bool{}, read: map[string]int64{}}, nil
}

// Put returns when r is on the disk.
func (l *Log) Put(r Record) error {
	text, err := pack(r)
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	mine, err := l.append(text)
	if err == nil {
		err = l.sync(mine)
	}
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

func pack(r Record) ([]byte, error) {
	head, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	text := make([]byte, headBytes, headBytes+len(head)+1+len(r.Answer))
	text = append(append(append(text, head...), '\n'), r.Answer...)
	binary.LittleEndian.PutUint32(text, uint32(len(text)-headBytes))
	binary.LittleEndian.PutUint32(text[4:], crc32.ChecksumIEEE(text[headBytes:]))
	return text, nil
}

// append writes a record to the present file, whole or not at all, and says
// which one of this process it was.
func (l *Log) append(text []byte) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.size+int64(len(text)) > l.mostOfFile && l.size > 0 {
		if err := l.begin(); err != nil {
			return 0, err
		}
	}
	if _, err := l.file.WriteAt(text, l.size); err != nil {
		return 0, errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(len(text))
	l.written++
	return l.written, nil
}

// begin goes on in a new file. The caller holds mu.
func (l *Log) begin() error {
	if l.file != nil {
		if err := l.file.Sync(); err != nil {
			return err
		}
		l.file.Close() // all of it is on the disk
		l.file = nil
	}
	name := fmt.Sprintf("%020d-%d-%d%s", time.Now().UnixNano(), os.Getpid(), l.files, suffix)
	f, err := os.OpenFile(filepath.Join(l.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	d, err := os.Open(l.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size, l.own[name] = f, 0, true
	l.files++
	return nil
}

// sync returns when record n is on the disk. Those who come together are synced
// together.
func (l *Log) sync(n int64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= n {
		return nil
	}
	l.mu.Lock()
	f, upto := l.file, l.written
	l.mu.Unlock()
	if f == nil {
		return os.ErrClosed
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // one that was closed meanwhile was synced before
		return err
	}
	l.synced = upto
	return nil
}

// Load calls add with the records that this process neither wrote nor read yet,
// in the order in which each file has them, the oldest file first. What a file
// has half, because its writer was killed or still writes, is left.
func (l *Log) Load(add func(Record)) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	names, err := l.names()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		l.mu.Lock()
		own := l.own[name]
		l.mu.Unlock()
		if !own {
			errs = append(errs, l.load(name, add))
		}
	}
	for name := range l.read {
		if _, there := slices.BinarySearch(names, name); !there {
			delete(l.read, name)
		}
	}
	return errors.Join(errs...)
}

// names are the files, the oldest first.
func (l *Log) names() (out []string, err error) {
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("look for kept answers: %w", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), suffix) {
			out = append(out, f.Name())
		}
	}
	return out, nil
}

func (l *Log) load(name string, add func(Record)) error {
	f, err := os.Open(filepath.Join(l.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it went for its age
	}
	if err != nil {
		return fmt.Errorf("read kept answers: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read kept answers: %w", err)
	}
	for at := l.read[name]; st.Size() > at; {
		r, size, err := unpack(io.NewSectionReader(f, at, st.Size()-at))
		if errors.Is(err, errHalf) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read kept answers of %s: %w", name, err)
		}
		add(r)
		at += size
		l.read[name] = at
	}
	return nil
}

// errHalf says that a record is not there as a whole.
var errHalf = errors.New("half a record")

func unpack(in *io.SectionReader) (r Record, size int64, err error) {
	var head [headBytes]byte
	if in.Size() < headBytes {
		return r, 0, errHalf
	}
	if _, err := in.ReadAt(head[:], 0); err != nil {
		return r, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n > mostRecord || n > in.Size()-headBytes {
		return r, 0, errHalf
	}
	text := make([]byte, n)
	if _, err := in.ReadAt(text, headBytes); err != nil {
		return r, 0, err
	}
	line, answer, ok := bytes.Cut(text, []byte("\n"))
	if crc32.ChecksumIEEE(text) != binary.LittleEndian.Uint32(head[4:]) || !ok || json.Unmarshal(line, &r) != nil {
		return r, 0, errHalf
	}
	r.Answer = answer
	return r, headBytes + n, nil
}

// Forget removes the oldest files while all of them are too large, and those
// that were written before a time: what they have is over.
func (l *Log) Forget(before time.Time) error {
	names, err := l.names()
	if err != nil {
		return err
	}
	l.mu.Lock()
	present := ""
	if l.file != nil {
		present = filepath.Base(l.file.Name())
	}
	l.mu.Unlock()
	total := int64(0)
	var errs []error
	for _, name := range slices.Backward(names) {
		st, err := os.Stat(filepath.Join(l.dir, name))
		if err != nil {
			continue // another process has removed it
		}
		total += st.Size()
		if name != present && (total > l.largest || st.ModTime().Before(before)) {
			if err := os.Remove(filepath.Join(l.dir, name)); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Close lets go of the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Sync(), l.file.Close())
	l.file = nil
	return err
}
