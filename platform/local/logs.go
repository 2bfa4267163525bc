package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/platform"
)

const followEvery = 200 * time.Millisecond

func (p *Platform) logFile(name string, which platform.LogKind) string {
	return p.dir("logs", name, string(which)+".log")
}

// makeLogDir makes the directory in which a function's processors open and
// rotate their logs.
func (p *Platform) makeLogDir(name string) error {
	dir := p.dir("logs", name)
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make log directory: %w", err)
	}
	c, err := p.users.of(name)
	if err == nil && c != nil {
		err = os.Lchown(dir, int(c.Uid), int(c.Gid))
	}
	return err
}

// Logs implements [platform.Logs].
func (p *Platform) Logs(ctx context.Context, name string, which platform.LogKind, tail int, follow bool, w io.Writer) error {
	if which != platform.FunctionLog && which != platform.ProcessorLog {
		return fmt.Errorf("read log: %q is neither %s nor %s", which, platform.FunctionLog, platform.ProcessorLog)
	}
	if !nameForm.MatchString(name) {
		return fmt.Errorf("read log: %q is not a name", name)
	}
	l := &logReader{path: p.logFile(name, which), w: w}
	defer l.close()
	if err := l.tail(tail); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for follow {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := l.more(); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
	return nil
}

// logReader reads a file that grows and is now and then replaced by a new one.
type logReader struct {
	path string
	w    io.Writer
	f    *os.File
}

func (l *logReader) close() {
	if l.f != nil {
		l.f.Close()
	}
}

// open opens the file if there is one. The directory is the function's, so
// links are not followed.
func (l *logReader) open() error {
	f, err := os.OpenFile(l.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return errors.Join(err, fmt.Errorf("%s is not a file", l.path))
	}
	l.f = f
	return nil
}

// tail writes the last n lines, all if n is negative, and stays at the end.
func (l *logReader) tail(n int) error {
	if err := l.open(); err != nil || l.f == nil {
		return err
	}
	end, err := l.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	from := int64(0)
	if n >= 0 {
		if from, err = lastLines(l.f, end, n); err != nil {
			return err
		}
	}
	if _, err := l.f.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(l.w, l.f)
	return err
}

// lastLines finds where the last n lines begin, reading backwards.
func lastLines(r io.ReaderAt, end int64, n int) (int64, error) {
	if n == 0 {
		return end, nil
	}
	buf := make([]byte, 32<<10)
	seen := 0
	for pos := end; pos > 0; {
		size := min(int64(len(buf)), pos)
		pos -= size
		if _, err := r.ReadAt(buf[:size], pos); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for chunk := buf[:size]; ; {
			i := bytes.LastIndexByte(chunk, '\n')
			if i < 0 {
				break
			}
			chunk = chunk[:i]
			if at := pos + int64(i) + 1; at < end { // not the end of the last line
				if seen++; seen == n {
					return at, nil
				}
			}
		}
	}
	return 0, nil
}

// more writes what was added, also if the file was replaced meanwhile: first
// the rest of the old one, then the new one from its start.
func (l *logReader) more() error {
	if l.f == nil {
		if err := l.open(); err != nil || l.f == nil {
			return err
		}
	}
	now, err := os.Lstat(l.path)
	replaced := err == nil && !l.same(now)
	if _, err := io.Copy(l.w, l.f); err != nil || !replaced {
		return err
	}
	l.close()
	l.f = nil
	if err := l.open(); err != nil || l.f == nil {
		return err
	}
	_, err = io.Copy(l.w, l.f)
	return err
}

// same says whether the open file is the one at the path, and was not emptied.
func (l *logReader) same(now os.FileInfo) bool {
	st, err := l.f.Stat()
	if err != nil || !os.SameFile(st, now) {
		return false
	}
	at, err := l.f.Seek(0, io.SeekCurrent)
	return err == nil && at <= now.Size()
}
