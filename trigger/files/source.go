package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// source opens sessions at one directory.
type source struct {
	cfg Config
	log *slog.Logger
}

// inheritEvery is how often the dead are looked for.
const inheritEvery = 2 * time.Second

// Connect implements [queue.Source].
func (s *source) Connect(context.Context, queue.Want) (queue.Session, error) {
	root, err := os.OpenRoot(s.cfg.Directory)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	n := &session{src: s, root: root}
	if n.watch, err = newWatch(s.cfg.Directory); err == nil {
		n.claims, err = newClaims(root)
	}
	if err == nil {
		err = n.prepare()
	}
	if err != nil {
		return nil, errors.Join(err, n.Close(context.Background()))
	}
	return n, nil
}

// session takes files and settles them. Nothing in it reaches out of the
// directory, whatever links there are.
type session struct {
	src    *source
	root   *os.Root
	watch  *watch
	claims *claims
	dead   time.Time // when the dead were looked for
}

var (
	_ queue.Session = (*session)(nil)
	_ queue.Lagger  = (*session)(nil)
)

// prepare makes the directories for what is done.
func (n *session) prepare() error {
	dirs := []string{n.src.cfg.Failed}
	if n.src.cfg.After == Move {
		dirs = append(dirs, n.src.cfg.Done)
	}
	for _, d := range dirs {
		if err := n.root.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	return nil
}

// Receive implements [queue.Session].
func (n *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for ctx.Err() == nil {
		if err := n.watch.err(); err != nil {
			return 0, err
		}
		got, soon, err := n.look(ctx, ms)
		if got > 0 || err != nil {
			return got, err
		}
		n.src.cfg.pace().Wait(ctx, soon, n.watch.changed)
	}
	return 0, ctx.Err()
}

// look takes what there is; soon is when a file will have settled, 0 if none waits
// for that.
func (n *session) look(ctx context.Context, ms []*queue.Message) (got int, soon time.Duration, err error) {
	if time.Since(n.dead) > inheritEvery {
		n.dead = time.Now()
		if err := n.claims.inherit(); err != nil {
			return 0, 0, fmt.Errorf("look for files of the dead: %w", err)
		}
	}
	back, err := n.claims.takeBack(len(ms))
	if err != nil {
		return 0, 0, fmt.Errorf("take file back: %w", err)
	}
	for _, k := range back {
		if err := n.load(k, ms, &got); err != nil {
			return got, 0, err
		}
	}
	soon, err = n.scan(ctx, ms, &got)
	return got, soon, err
}

// scanned is how many entries of the directory are read at once.
const scanned = 512

// scan takes the files that are complete.
func (n *session) scan(ctx context.Context, ms []*queue.Message, got *int) (soon time.Duration, err error) {
	d, err := n.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("read directory: %w", err)
	}
	defer d.Close()
	for *got < len(ms) && ctx.Err() == nil {
		entries, err := d.ReadDir(scanned)
		for _, e := range entries {
			if *got == len(ms) {
				return 0, nil
			}
			left, err := n.consider(e, ms, got)
			if err != nil {
				return 0, err
			}
			if left > 0 && (soon == 0 || left < soon) {
				soon = left
			}
		}
		if errors.Is(err, io.EOF) {
			return soon, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read directory: %w", err)
		}
	}
	return soon, nil
}

// consider takes a file if it is one, and complete; else it says how long it has
// to settle.
func (n *session) consider(e fs.DirEntry, ms []*queue.Message, got *int) (left time.Duration, err error) {
	name := e.Name()
	if ok, _ := path.Match(n.src.cfg.Pattern, name); !ok || strings.HasPrefix(name, ".") || !e.Type().IsRegular() {
		return 0, nil
	}
	if !n.watch.complete(name) {
		info, err := n.root.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			return 0, nil //nolint:nilerr // it is gone, or another's
		}
		if left := n.src.cfg.Settle.Std() - time.Since(changed(info)); left > 0 {
			return left, nil
		}
	}
	if n.written(name) {
		return n.src.cfg.Interval.Std(), nil
	}
	k, ok, err := n.claims.take(name)
	if err != nil {
		return 0, fmt.Errorf("take file: %w", err)
	}
	if n.watch.forget(name); !ok {
		return 0, nil
	}
	return 0, n.load(k, ms, got)
}

// changed is when a file was written to, or came to be where it is.
func changed(info fs.FileInfo) time.Time {
	at := info.ModTime()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(st.Ctim.Unix()); c.After(at) {
			at = c
		}
	}
	return at
}

// written reports whether somebody on this machine has the file open for writing,
// as far as that can be known: the kernel tells it to a file's owner.
func (n *session) written(name string) bool {
	f, err := n.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false // taking it says more
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return false
}

// load makes a message of a file that was taken. One that is gone is forgotten, and
// one that is too large has failed.
func (n *session) load(k claim, ms []*queue.Message, got *int) error {
	m := ms[*got]
	m.Ref, m.Delivered = k, k.delivered
	err := n.read(k, m)
	var bad *unfit
	switch {
	case err == nil:
		*got++
		return nil
	case errors.Is(err, fs.ErrNotExist):
		n.src.log.Warn("file vanished while it was read", "name", k.name)
		err = n.claims.drop(k)
	case errors.As(err, &bad):
		n.src.log.Error("file failed", "name", k.name, "error", err)
		err = n.reject(k, err.Error())
	}
	m.Ref, m.Delivered, m.Event = nil, 0, event.Event{}
	if err != nil {
		return fmt.Errorf("read file %q: %w", k.name, err)
	}
	return nil
}

// unfit says why a file can never be an event.
type unfit struct{ why string }

func (u *unfit) Error() string { return u.why }

func (n *session) read(k claim, m *queue.Message) error {
	info, err := n.root.Lstat(k.file())
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &unfit{"it is no regular file"}
	}
	ev := &m.Event
	ev.Topic, ev.Time = n.src.cfg.Directory, info.ModTime()
	ev.ID = fmt.Appendf(nil, "%s@%d", k.name, info.ModTime().UnixNano())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		ev.ID = fmt.Appendf(ev.ID, ".%d", st.Ino)
	}
	ev.Headers = event.Pairs{
		{Key: "file-name", Value: []byte(k.name)},
		{Key: "file-path", Value: []byte(path.Join(n.src.cfg.Directory, k.file()))},
		{Key: "file-size", Value: strconv.AppendInt(nil, info.Size(), 10)},
		{Key: "file-modified", Value: info.ModTime().UTC().AppendFormat(nil, time.RFC3339Nano)},
	}
	if t := mime.TypeByExtension(path.Ext(k.name)); t != "" {
		ev.ContentType = []byte(t)
	}
	if n.src.cfg.Body == Nothing {
		return nil
	}
	ev.Body, err = n.content(k, info.Size(), m.Buffer)
	m.Buffer = ev.Body
	return err
}

// content reads a file into b, if that has room for it.
func (n *session) content(k claim, size int64, b []byte) ([]byte, error) {
	most := n.src.cfg.MaxSize.Bytes()
	if size > most {
		return nil, &unfit{fmt.Sprintf("it has %d bytes, and maxSize is %d", size, most)}
	}
	f, err := n.root.Open(k.file())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if int64(cap(b)) < size+1 {
		b = make([]byte, 0, size+1)
	}
	b = b[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		k, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+k]
		if int64(len(b)) > most {
			return nil, &unfit{fmt.Sprintf("it has more than %d bytes, which is maxSize", most)}
		}
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// mostLag bounds what is counted.
const mostLag = 100_000

// Lag implements [queue.Lagger].
func (n *session) Lag(ctx context.Context) (count int64, err error) {
	d, err := n.root.Open(".")
	if err != nil {
		return 0, err
	}
	defer d.Close()
	for count < mostLag && ctx.Err() == nil {
		entries, err := d.ReadDir(scanned)
		for _, e := range entries {
			if ok, _ := path.Match(n.src.cfg.Pattern, e.Name()); ok && e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				count++
			}
		}
		if err != nil {
			break
		}
	}
	return count, ctx.Err()
}
