package shm

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// The test's binary is its own worker: a second reading of the format.
func TestMain(m *testing.M) {
	if mode := os.Getenv("SHM_TEST_WORKER"); mode != "" {
		if err := work(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type testWorker struct {
	mem        []byte
	y          layout
	wake, bell int
	second     int // the processor's other bell; -1: this worker does not know of it
	req, resp  ring.Ring
	asked      uint32 // calls
}

func work(mode string) error {
	b, oob := make([]byte, 64), make([]byte, 64)
	n, oobn, _, _, err := unix.Recvmsg(3, b, oob, 0)
	if err != nil || n < 24 || b[0] != msgHello {
		return fmt.Errorf("hello: %d bytes, %w", n, err)
	}
	files, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&files[0])
	if err != nil {
		return err
	}
	w := &testWorker{wake: fds[1], bell: fds[2], second: -1}
	flags := byte(readyNative | readyClaims | readyBatches)
	mode, oneBell := strings.CutSuffix(mode, oneBell)
	if b[1]&helloBell != 0 && !oneBell {
		if err := w.takeBell(); err != nil {
			return err
		}
		flags |= readyBells
	}
	size := binary.LittleEndian.Uint64(b[8:])
	if w.mem, err = unix.Mmap(fds[0], 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return err
	}
	// The seals hold: a worker cannot cut the mapping short.
	if err := unix.Ftruncate(fds[0], 0); err != unix.EPERM {
		return fmt.Errorf("the mapping could be truncated: %w", err)
	}
	le := binary.LittleEndian
	slots := int(le.Uint32(w.mem[24:]))
	w.y = newLayout(Limits{Slots: slots, Arena: int64(le.Uint64(w.mem[64:])), MaxBody: int64(le.Uint64(w.mem[88:]))})
	w.req, w.resp = ring.New(w.mem[le.Uint32(w.mem[32:]):], slots), ring.New(w.mem[le.Uint32(w.mem[36:]):], int(le.Uint32(w.mem[40:])))
	switch mode {
	case "refuse":
		return unix.Sendmsg(3, append([]byte{msgFail, 0, 0, 0}, "no thanks"...), nil, nil, 0)
	case "silent":
		select {}
	case "garbage":
		return unix.Sendmsg(3, []byte{77, 1, 2, 3, 4}, nil, nil, 0)
	}
	if err := unix.Sendmsg(3, append([]byte{msgReady, flags, 0, 0}, mode...), nil, nil, 0); err != nil {
		return err
	}
	return w.serve(mode)
}

// oneBell ends the mode of a worker that knows of one bell only.
const oneBell = ", one bell"

func (w *testWorker) takeBell() error {
	b, oob := make([]byte, 64), make([]byte, 64)
	n, oobn, _, _, err := unix.Recvmsg(3, b, oob, 0)
	if err != nil || n != 4 || b[0] != msgBell {
		return fmt.Errorf("bell: %d bytes, %w", n, err)
	}
	files, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&files[0])
	if err != nil {
		return err
	}
	w.second = fds[0]
	return nil
}

func (w *testWorker) serve(mode string) error {
	sleep := ring.Word(w.mem[offWorkerSleep:])
	var e ring.Entry
	for {
		for !w.req.Take(&e) {
			if ring.Word(w.mem[offGoState:]).Load() == goStop {
				return nil
			}
			sleep.Store(1)
			if w.req.Ready() || ring.Word(w.mem[offGoState:]).Load() == goStop {
				sleep.Store(0)
				continue
			}
			var b [8]byte
			if _, err := unix.Read(w.wake, b[:]); err != nil && err != unix.EINTR {
				return err
			}
		}
		if e.Code == ring.KindBatched {
			if err := w.batch(mode, e); err != nil {
				return err
			}
			continue
		}
		pos := w.req.Pos - 1
		if !w.req.ClaimAt(pos).CompareAndSwap(ring.Claim(pos, ring.ClaimQueued), ring.Claim(pos, ring.ClaimBegun)) {
			w.put(ring.Entry{Code: 204, Flags: ring.FlagRecalled, Slot: e.Slot, Gen: e.Gen})
			continue
		}
		if err := w.answer(mode, e); err != nil {
			return err
		}
	}
}

// batch takes all of a batch, whose first entry is e, claims it and answers the
// events, the last one first.
func (w *testWorker) batch(mode string, e ring.Entry) error {
	lead, all := w.req.Pos-1, []ring.Entry{e}
	for e.Flags&ring.FlagGoesOn != 0 {
		if !w.req.Take(&e) || e.Code != ring.KindBatched {
			return fmt.Errorf("batch of %d ends without an end", len(all))
		}
		all = append(all, e)
	}
	if !w.req.ClaimAt(lead).CompareAndSwap(ring.Claim(lead, ring.ClaimQueued), ring.Claim(lead, ring.ClaimBegun)) {
		for _, e := range all {
			w.put(ring.Entry{Code: 204, Flags: ring.FlagRecalled, Slot: e.Slot, Gen: e.Gen})
		}
		return nil
	}
	for i := len(all) - 1; i >= 0; i-- {
		switch {
		case mode == "slow" && i > 0, mode == "die" && i > len(all)/2: // one wait for the batch; some answers before the end
			w.put(ring.Entry{Code: 200, Slot: all[i].Slot, Gen: all[i].Gen, BodyOff: all[i].BodyOff, BodyLen: all[i].BodyLen})
		default:
			if err := w.answer(mode, all[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer echoes where the request lies, or misbehaves.
func (w *testWorker) answer(mode string, e ring.Entry) error {
	a := ring.Entry{Code: 200, Slot: e.Slot, Gen: e.Gen, BodyOff: e.BodyOff, BodyLen: e.BodyLen}
	if strings.HasPrefix(mode, "call") {
		text, err := w.callsOf(mode, e)
		if err != nil {
			return err
		}
		a.BodyOff, a.BodyLen = uint64(w.y.slot(int(e.Slot))+slotResponse), uint32(len(text))
		copy(w.mem[a.BodyOff:], text)
	}
	switch mode {
	case "status":
		a.Code = 7
	case "slot":
		a.Slot = 1 << 20
	case "generation":
		a.Gen++
	case "outside":
		a.BodyOff = uint64(w.y.size) - 1
		a.BodyLen = 100
	case "overflow":
		a.MetaOff, a.MetaLen = ^uint64(0)-4, 100
	case "meta":
		a.MetaOff, a.MetaLen = e.BodyOff, 3
	case "twice":
		w.resp.Put(&a)
	case "no file":
		a.Flags = ring.FlagFD
		note := make([]byte, 24)
		note[0] = msgBody
		if err := unix.Sendmsg(3, note, nil, nil, 0); err != nil {
			return err
		}
	case "short file", "pipe":
		if err := w.sendWrongFile(mode, e); err != nil {
			return err
		}
		a.Flags, a.BodyOff, a.BodyLen = ring.FlagFD, 0, 1000
	case "slow": // as many milliseconds as the body has bytes
		time.Sleep(time.Duration(e.BodyLen) * time.Millisecond)
	case "stream": // as many parts as the body has bytes, in the request's place
		return w.stream(&a, e)
	case "flood": // parts without regard to who reads
		for range 100 {
			a.Flags = ring.FlagMore
			w.put(a)
		}
		a.Flags = 0
	case "endless": // a stream that never ends, and goes on with another status
		for i := range uint16(2000) {
			a.Flags, a.Code = ring.FlagMore, 100+i
			w.put(a)
		}
	case "part in file":
		a.Flags = ring.FlagMore | ring.FlagFD
	case "part outside":
		a.Flags, a.BodyOff = ring.FlagMore, uint64(w.y.size)
	case "part after end":
		w.put(a)
		a.Flags = ring.FlagMore
	case "retain twice":
		a.Flags = ring.FlagRetain
		w.put(a)
	case "retain all": // and never release
		a.Flags = ring.FlagRetain
	case "release":
		w.put(a)
		a.Flags = ring.FlagRelease
	case "release early":
		a.Flags = ring.FlagRelease
		w.put(a)
		a.Flags = 0
	case "unknown flag":
		a.Flags = 1 << 9
	case "generation 0":
		a.Gen = 0
	case "recalled":
		a.Flags = ring.FlagRecalled
	case "scribble":
		go w.scribble()
	case "die":
		return fmt.Errorf("worker ends on purpose")
	}
	w.put(a)
	return nil
}

// stream answers in parts of one byte, and heeds the reader.
func (w *testWorker) stream(a *ring.Entry, e ring.Entry) error {
	taken := ring.Word(w.mem[w.y.slot(int(e.Slot))+slotTaken:])
	unwanted := ring.Word(w.mem[w.y.slot(int(e.Slot))+slotUnwanted:])
	a.Flags, a.BodyLen = ring.FlagMore, 1
	for i := range e.BodyLen {
		for i-taken.Load() >= maxParts && unwanted.Load() != e.Gen {
			time.Sleep(100 * time.Microsecond)
		}
		if unwanted.Load() == e.Gen {
			break
		}
		a.BodyOff = e.BodyOff + uint64(i)
		w.put(*a)
	}
	a.Flags, a.BodyLen = 0, 0
	w.put(*a)
	return nil
}

func (w *testWorker) put(a ring.Entry) {
	w.resp.Put(&a)
	s := ring.Word(w.mem[offGoSleep:])
	switch {
	case s.Load() == 0:
	case w.second < 0:
		if s.CompareAndSwap(bellFirst, 0) {
			ring8(w.bell)
		}
	default:
		switch s.Swap(0) {
		case bellFirst:
			ring8(w.bell)
		case bellSecond:
			ring8(w.second)
		}
	}
}

func (w *testWorker) sendWrongFile(mode string, e ring.Entry) error {
	fd, err := unix.MemfdCreate("short", 0)
	if mode == "pipe" {
		p := make([]int, 2)
		err = unix.Pipe(p)
		fd = p[0]
	}
	if err != nil {
		return err
	}
	note := make([]byte, 24)
	note[0] = msgBody
	binary.LittleEndian.PutUint32(note[4:], e.Slot)
	binary.LittleEndian.PutUint32(note[8:], e.Gen)
	return unix.Sendmsg(3, note, unix.UnixRights(fd), nil, 0)
}

// scribble writes at random, mostly where it hurts.
func (w *testWorker) scribble() {
	words := unsafe.Slice((*uint32)(unsafe.Pointer(&w.mem[0])), len(w.mem)/4)
	low := int(w.y.goArena / 4)
	for {
		at := rand.IntN(low)
		if rand.IntN(200) == 0 { // an entry that may well be believed
			a := ring.Entry{Code: 200, Slot: rand.Uint32N(16), Gen: 1 + rand.Uint32N(50), Flags: uint16(rand.Uint32() & rand.Uint32() & 127), BodyOff: uint64(rand.IntN(low))}
			w.put(a)
			continue
		}
		if rand.IntN(4) == 0 {
			at = int(w.y.responses)/4 + rand.IntN(w.y.respEntries*ring.EntrySize/4)
		}
		words[at] = []uint32{0, 1, ^uint32(0), rand.Uint32(), words[at] + 1, 200}[rand.IntN(6)]
		ring8(w.bell)
	}
}

// startWorker starts this binary as a worker.
func startWorker(t testing.TB, mode string, limits Limits) (*Instance, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(testLog{t}, nil))
	if _, ok := t.(*testing.B); ok || mode == "scribble" {
		log = slog.New(slog.DiscardHandler)
	}
	return Start(ctx, Options{Path: os.Args[0], Env: []string{"SHM_TEST_WORKER=" + mode}, Limits: limits, Log: log, FunctionLog: log, Calls: &testCaller{}})
}

func openWorker(t testing.TB, mode string, limits Limits) *Instance {
	t.Helper()
	in, err := startWorker(t, mode, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := in.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return in
}

var discard = slog.New(slog.DiscardHandler)

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// crowd invokes from n goroutines at once until each has done count events or
// failed, and returns the errors.
func crowd(in *Instance, n, count, size int) []error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for g := range n {
		wg.Go(func() {
			var resp event.Response
			for i := range count {
				body := strings.Repeat(string(rune('a'+(g+i)%26)), 1+(g*7919+i*104729)%size)
				resp.Reset()
				err := in.Invoke(context.Background(), &event.Event{Body: []byte(body)}, &resp)
				if err == nil && string(resp.Body) != body {
					err = fmt.Errorf("caller %d got another's answer", g)
				}
				if err != nil {
					errs[g] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errs
}
