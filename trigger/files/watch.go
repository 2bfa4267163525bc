package files

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watch hears from the kernel what happens in a directory.
type watch struct {
	file    *os.File
	changed chan struct{}
	end     sync.WaitGroup

	mu    sync.Mutex
	moved map[string]bool // names that were moved in, and so are complete
	lost  error
}

// mostMoved bounds the names that are remembered; others have to settle.
const mostMoved = 100_000

func newWatch(dir string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch directory: %w", err)
	}
	const mask = unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		return nil, errors.Join(fmt.Errorf("watch directory: %w", err), unix.Close(fd))
	}
	w := &watch{file: os.NewFile(uintptr(fd), "inotify"), changed: make(chan struct{}, 1), moved: map[string]bool{}}
	w.end.Go(w.loop)
	return w, nil
}

func (w *watch) loop() {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			w.fail(fmt.Errorf("watch directory: %w", err))
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			ev := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			size := unix.SizeofInotifyEvent + int(ev.Len)
			if size > len(b) {
				break
			}
			w.hear(ev.Mask, strings.TrimRight(string(b[unix.SizeofInotifyEvent:size]), "\x00"))
			b = b[size:]
		}
		w.rouse()
	}
}

func (w *watch) hear(mask uint32, name string) {
	if mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0 {
		w.fail(errors.New("the directory was moved or deleted"))
		return
	}
	if mask&(unix.IN_MOVED_TO|unix.IN_CREATE) == 0 || mask&unix.IN_ISDIR != 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if mask&unix.IN_MOVED_TO == 0 {
		delete(w.moved, name) // another file of that name
	} else if len(w.moved) < mostMoved {
		w.moved[name] = true
	}
}

func (w *watch) fail(err error) {
	w.mu.Lock()
	if w.lost == nil {
		w.lost = err
	}
	w.mu.Unlock()
	w.rouse()
}

func (w *watch) rouse() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// complete reports whether a file was moved in.
func (w *watch) complete(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moved[name]
}

// forget is called when a name has been taken.
func (w *watch) forget(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.moved, name)
}

// err says why nothing is heard any more.
func (w *watch) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

func (w *watch) close() error {
	err := w.file.Close()
	w.end.Wait()
	return err
}
