package shm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/runtime/shm/ring"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

// Messages on the control socket, by their first byte.
const (
	msgHello = 1 // to the worker, with the mapping and both eventfds
	msgReady = 2 // from the worker: it may be invoked
	msgFail  = 3 // from the worker: why it cannot be
	msgLog   = 4 // from the worker: one log record
	msgBody  = 5 // both ways, with a file: metadata and body of one entry
	msgCall  = 6 // both ways, with a file: metadata and body of one call or of its answer
	msgBell  = 7 // to the worker, after hello, with the processor's second eventfd

	helloBell = 1 // msgBell follows
)

const (
	readyAsync   = 1  // the handler is asynchronous
	readyNative  = 2  // the worker's loop is native code
	readyClaims  = 4  // the worker claims each request before it begins it
	readyBatches = 8  // the worker takes batches
	readyDrains  = 16 // SIGUSR2 tells the worker to settle what it left open
	readyLeaves  = 32 // the function has hooks for the drain: SIGURG has the worker run them
	readyBells   = 64 // the worker rings the bell that the processor's sleep flag names
)

// loadingUnit is that of the time in a ready message, which says no more than it
// can hold.
const loadingUnit = 100 * time.Microsecond

// maxMessage bounds a message of the control socket.
const maxMessage = 64 << 10

// errEnded is what becomes of a worker that did not say why it ended.
var errEnded = errors.New("worker ended before it was ready")

type readiness struct {
	flags   byte
	loading time.Duration // how long the function took to load, 0 if that is not known
	about   string
	err     error
}

// sendHello passes the mapping and the bells. The second bell comes in a message
// of its own: workers that know of none take no fourth descriptor, and pass over
// messages of kinds that they do not know.
func (in *Instance) sendHello(mapping int, b bells) error {
	hello := make([]byte, 24)
	hello[0], hello[1] = msgHello, helloBell
	le := binary.LittleEndian
	le.PutUint16(hello[2:], Major)
	le.PutUint16(hello[4:], Minor)
	le.PutUint64(hello[8:], uint64(in.size))
	le.PutUint64(hello[16:], uint64(in.MaxBody))
	_, _, err := in.control.WriteMsgUnix(hello, unix.UnixRights(mapping, in.bellFD, b.first), nil)
	if err == nil {
		_, _, err = in.control.WriteMsgUnix([]byte{msgBell, 0, 0, 0}, unix.UnixRights(b.second), nil)
	}
	if err != nil {
		return fmt.Errorf("greet worker: %w", err)
	}
	return nil
}

func (in *Instance) sendBody(s *slot, fd int, e *ring.Entry) error {
	return in.sendMemory(msgBody, s.index, s.gen, fd, e)
}

// sendMemory sends a memory file and says whose it is.
func (in *Instance) sendMemory(kind byte, index, gen uint32, fd int, e *ring.Entry) error {
	b := make([]byte, 24)
	b[0] = kind
	le := binary.LittleEndian
	le.PutUint32(b[4:], index)
	le.PutUint32(b[8:], gen)
	le.PutUint64(b[16:], uint64(e.MetaLen)+uint64(e.BodyLen))
	_, _, err := in.control.WriteMsgUnix(b, unix.UnixRights(fd), nil)
	return err
}

// listen reads the control socket until the worker has gone.
func (in *Instance) listen() {
	defer in.tasks.Done()
	b, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(16*4))
	for {
		n, oobn, _, _, err := in.control.ReadMsgUnix(b, oob)
		files, ferr := rights(oob[:oobn])
		if err == nil && n == 0 && ferr == nil && len(files) == 0 {
			err = errors.New("worker closed its control socket")
		}
		if err != nil {
			closeFiles(files)
			break
		}
		if err := errors.Join(ferr, in.message(b[:n], &files)); err != nil {
			in.violate(err)
		}
		closeFiles(files)
	}
	// Without a control socket the worker is as good as dead.
	_ = in.proc.Kill()
	<-in.proc.Done()
	why := in.proc.State().String()
	if in.proc.OutOfMemory() {
		why = "out of memory, with a limit of " + in.memory.String()
	}
	in.sayReady(readiness{err: fmt.Errorf("%w: %s", errEnded, why)})
}

func (in *Instance) sayReady(r readiness) {
	select {
	case in.ready <- r:
	default:
	}
}

// message handles one message; what it keeps of files it takes out of it.
func (in *Instance) message(b []byte, files *[]*os.File) error {
	if len(b) < 4 {
		return fmt.Errorf("control message of %d bytes", len(b))
	}
	switch b[0] {
	case msgReady:
		in.sayReady(readiness{flags: b[1], loading: time.Duration(binary.LittleEndian.Uint16(b[2:])) * loadingUnit, about: string(b[4:])})
	case msgFail:
		in.sayReady(readiness{err: errors.New(string(b[4:]))})
	case msgLog:
		return in.logMessage(b[4:])
	case msgBody:
		return in.bodyMessage(b, files)
	case msgCall:
		return in.callMessage(b, files)
	default:
		return fmt.Errorf("control message of kind %d", b[0])
	}
	return nil
}

// bodyMessage hands the file of a large response to its slot. Only memory
// files are taken: reading any other could block for ever.
func (in *Instance) bodyMessage(b []byte, files *[]*os.File) error {
	if len(b) < 12 || len(*files) != 1 {
		return errors.New("large response without its file")
	}
	i, gen := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	if i >= uint32(len(in.slots)) || in.slots[i].expects.Load() != gen || gen == 0 {
		return fmt.Errorf("large response for slot %d, which is not in flight", i)
	}
	f := (*files)[0]
	if !isMemory(f) {
		return errors.New("large response is not in a memory file")
	}
	select {
	case in.slots[i].file <- f:
		*files = nil
		return nil
	default:
		return fmt.Errorf("second file for slot %d", i)
	}
}

// isMemory reports whether f is a memory file, which reads without waiting.
func isMemory(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	return err == nil
}

// logMessage passes a log record on: u32 length of the event's id, the id,
// then the record.
func (in *Instance) logMessage(b []byte) error {
	r := wire.Reader{B: b}
	id := r.Bytes(r.U32())
	rec := wire.DecodeRecord(&r)
	if r.Bad {
		return errors.New("malformed log record")
	}
	if !in.funcLog.Enabled(context.Background(), rec.Level) {
		return nil
	}
	out := slog.NewRecord(rec.Time, rec.Level, rec.Message, 0)
	if len(id) > 0 {
		out.AddAttrs(slog.String("event", string(id)))
	}
	out.AddAttrs(rec.With...)
	return in.handleRecord(out)
}

func (in *Instance) handleRecord(rec slog.Record) error {
	// A log that cannot be written is not the worker's fault.
	_ = in.funcLog.Handler().Handle(context.Background(), rec)
	return nil
}

// logLine passes on what the function printed past its logger.
func (in *Instance) logLine(level slog.Level, line string) {
	rec := slog.NewRecord(time.Now(), level, line, 0)
	if in.funcLog.Enabled(context.Background(), level) {
		_ = in.handleRecord(rec)
	}
}

// rights returns the files in a control message.
func rights(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
