package supervise

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const readyFile = "ready.json"

// isReady says whether the process pid has said in dir that it is ready.
func isReady(dir string, pid int) bool {
	f, err := openPlain(filepath.Join(dir, readyFile))
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return false
	}
	var said struct {
		PID int `json:"pid"`
	}
	return json.Unmarshal(b, &said) == nil && said.PID == pid
}

// openPlain opens a regular file in a directory that may belong to another
// user: links are not followed, and a pipe does not hang the opener.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, os.ErrInvalid
	}
	return f, nil
}

// logMark remembers how long the logs are, to tell later what was added.
type logMark map[string]int64

func markLogs(paths []string) logMark {
	m := logMark{}
	for _, p := range paths {
		m[p] = 0
		if st, err := os.Lstat(p); err == nil {
			m[p] = st.Size()
		}
	}
	return m
}

const (
	tailLines = 20
	tailBytes = 16 << 10
)

// added returns the last lines that were added, file by file in order.
func (m logMark) added(paths []string) []string {
	var lines []string
	for _, p := range paths {
		if text := addedTo(p, m[p]); len(text) > 0 {
			lines = append(lines, strings.Split(strings.TrimRight(string(text), "\n"), "\n")...)
		}
	}
	return lines[max(0, len(lines)-tailLines):]
}

func addedTo(path string, from int64) []byte {
	f, err := openPlain(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	if st.Size() < from { // it was rotated meanwhile
		from = 0
	}
	cut := st.Size()-from > tailBytes
	if cut {
		from = st.Size() - tailBytes
	}
	b, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, from, st.Size()-from), tailBytes))
	if err != nil {
		return nil
	}
	if i := bytes.IndexByte(b, '\n'); cut && i >= 0 {
		b = b[i+1:]
	}
	return b
}
