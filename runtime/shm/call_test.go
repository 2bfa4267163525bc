package shm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

// testCaller answers with what it was asked, unless the name says otherwise.
type testCaller struct {
	running, cancelled atomic.Int32
	early              atomic.Int32 // scopes that ended before their calls
	ended              atomic.Int32 // scopes
	calls              sync.Map     // by scope, those that run: *atomic.Int32
}

// Done implements runtime.Ender.
func (c *testCaller) Done(s *runtime.Scope) error {
	if n, ok := c.calls.Load(s); ok && n.(*atomic.Int32).Load() != 0 {
		c.early.Add(1)
	}
	c.ended.Add(1)
	return nil
}

func (c *testCaller) Do(ctx context.Context, call *runtime.Call, answer *event.Response) error {
	n, _ := c.calls.LoadOrStore(call.Scope, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
	defer n.(*atomic.Int32).Add(-1)
	switch call.Name {
	case "fail":
		return event.Errorf(404, "no such thing")
	case "panic":
		panic("on purpose")
	case "own": // whose call it is
		answer.Body = fmt.Appendf(nil, "%p", call.Scope)
		return nil
	case "wait":
		c.running.Add(1)
		<-ctx.Done()
		c.cancelled.Add(1)
		return ctx.Err()
	}
	if call.Name == "double" {
		answer.Body = append(answer.Body, call.Body...)
	}
	answer.Status, answer.ContentType = 201, call.ContentType
	answer.Header = append(answer.Header, call.Headers...)
	answer.Body = append(answer.Body, call.Body...)
	return nil
}

// packCall is a second reading of the format.
func packCall(name, method, path, ctype string, headers ...string) []byte {
	le := binary.LittleEndian
	var b []byte
	for _, n := range []int{len(name), len(method), len(path), len(ctype), len(headers) / 2, 0} {
		b = le.AppendUint32(b, uint32(n))
	}
	b = append(b, name+method+path+ctype...)
	for i := 0; i < len(headers); i += 2 {
		b = le.AppendUint32(b, uint32(len(headers[i])))
		b = le.AppendUint32(b, uint32(len(headers[i+1])))
		b = append(b, headers[i]+headers[i+1]...)
	}
	return b
}

// ask makes a call from the worker's side, in a cell of which it knows that it
// is free, and does not wait.
func (w *testWorker) ask(cell, gen uint32, name string, body []byte, nanos uint64) ring.Entry {
	meta := packCall(name, "POST", "/p", "text/x", "k", "v")
	at := uint64(w.y.cell(int(cell)) + cellRoom)
	if len(meta)+len(body) > cellSize-cellRoom {
		at = uint64(w.y.workerArena)
	}
	copy(w.mem[at:], meta)
	copy(w.mem[at+uint64(len(meta)):], body)
	e := ring.Entry{Code: runtime.CallFunction, Flags: ring.FlagCall, Slot: cell, Gen: gen, MetaOff: at, MetaLen: uint32(len(meta)),
		BodyOff: at + uint64(len(meta)), BodyLen: uint32(len(body)), Nanos: nanos}
	w.put(e)
	return e
}

// await sleeps as the format says until a call is answered.
func (w *testWorker) await(cell, gen uint32) (status, flags uint16, body []byte) {
	line := w.mem[w.y.cell(int(cell)):]
	sleep := ring.Word(w.mem[offWorkerSleep:])
	var b [8]byte
	for ring.Word(line).Load() != gen {
		sleep.Store(1)
		if ring.Word(line).Load() == gen {
			break
		}
		_, _ = unix.Read(w.wake, b[:])
	}
	sleep.Store(0)
	le := binary.LittleEndian
	off, n := le.Uint64(line[24:]), le.Uint32(line[36:])
	status, flags = le.Uint16(line[8:]), le.Uint16(line[10:])
	if flags&ring.FlagFD == 0 {
		body = bytes.Clone(w.mem[off : off+uint64(n)])
	} else {
		body = w.readAnswer(cell, gen, int64(off), int(n))
	}
	ring.Word(line[cellConsumed:]).Store(gen)
	return status, flags, body
}

func (w *testWorker) readAnswer(cell, gen uint32, off int64, n int) []byte {
	b, oob := make([]byte, 64), make([]byte, 64)
	_, oobn, _, _, err := unix.Recvmsg(3, b, oob, 0)
	if err != nil || b[0] != msgCall || binary.LittleEndian.Uint32(b[4:]) != cell || binary.LittleEndian.Uint32(b[8:]) != gen {
		panic(fmt.Sprintf("no file for the answer: %x, %v", b[:12], err))
	}
	files, err := rights(oob[:oobn])
	if err != nil || len(files) != 1 {
		panic(fmt.Sprint("no file: ", err))
	}
	defer files[0].Close()
	out := make([]byte, n)
	if _, err := files[0].ReadAt(out, off); err != nil {
		panic(err)
	}
	return out
}

// sendCallFile sends what a large call says as it should, or with another generation.
func (w *testWorker) sendCallFile(cell, gen uint32, content []byte) error {
	fd, err := unix.MemfdCreate("call", 0)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, content); err != nil {
		return err
	}
	note := make([]byte, 24)
	note[0] = msgCall
	binary.LittleEndian.PutUint32(note[4:], cell)
	binary.LittleEndian.PutUint32(note[8:], gen)
	defer unix.Close(fd)
	return unix.Sendmsg(3, note, unix.UnixRights(fd), nil, 0)
}

// callsOf are the ways of the test's worker to call, by mode; what they return
// is the event's answer.
func (w *testWorker) callsOf(mode string, e ring.Entry) (string, error) {
	in := w.mem[e.BodyOff : e.BodyOff+uint64(e.BodyLen)]
	switch mode {
	case "calls": // the body says what to call, then with how many bytes
		var name string
		var n int
		if _, err := fmt.Sscan(string(in), &name, &n); err != nil {
			return "", err
		}
		w.asked++
		cell := w.asked % 3
		w.ask(cell, w.asked, name, bytes.Repeat([]byte("c"), n), uint64(time.Second))
		status, flags, body := w.await(cell, w.asked)
		if len(body) > 100 {
			body = fmt.Appendf(nil, "%d bytes of %c", len(body), body[len(body)-1])
		}
		return fmt.Sprintf("%d %d %s", status, flags, body), nil
	case "calls in a row": // the body says how many, and how many microseconds lie between
		var n uint32
		var pause int
		if _, err := fmt.Sscan(string(in), &n, &pause); err != nil {
			return "", err
		}
		for range n {
			w.asked++
			w.ask(0, w.asked, "echo", []byte("abc"), 0)
			if status, _, body := w.await(0, w.asked); status != 201 || string(body) != "abc" {
				return fmt.Sprintf("%d %q", status, body), nil
			}
			time.Sleep(time.Duration(pause) * time.Microsecond) // around the time that the processor stays awake
		}
		return fmt.Sprintf("%d answers", n), nil
	case "call all and go on": // once, and wait for none
		if w.asked == 0 {
			w.asked = 1
			for i := range uint32(cellCount) {
				w.ask(i, 1, "wait", nil, 0)
			}
		}
		return "asked", nil
	case "call in file":
		meta := packCall("echo", "POST", "/", "text/plain")
		if err := w.sendCallFile(5, 1, append(meta, in...)); err != nil {
			return "", err
		}
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall | ring.FlagFD, Slot: 5, Gen: 1, MetaLen: uint32(len(meta)), BodyOff: uint64(len(meta)), BodyLen: e.BodyLen})
		_, _, body := w.await(5, 1)
		return string(body), nil
	case "call bind": // a binding: once for an answer, then three times without waiting
		bind := func(cell uint32, name string, forSlot, forGen uint32) {
			w.asked++
			meta := packCall(name, "kv.get", "key", "")
			at := uint64(w.y.cell(int(cell)) + cellRoom)
			copy(w.mem[at:], meta)
			w.put(ring.Entry{Code: runtime.CallBinding, Flags: ring.FlagCall, Slot: cell, Gen: w.asked, MetaOff: at, MetaLen: uint32(len(meta)), For: forSlot, ForGen: forGen})
		}
		var said []string
		for _, own := range [][2]uint32{{e.Slot + 1, e.Gen}, {e.Slot + 1, e.Gen}, {e.Slot + 1, e.Gen + 1}, {0, 0}} {
			bind(0, "own", own[0], own[1])
			_, _, body := w.await(0, w.asked)
			said = append(said, string(body))
		}
		base := 4 * (w.asked % 50)
		for i := range uint32(3) {
			bind(base+i+1, "wait", e.Slot+1, e.Gen)
		}
		return strings.Join(said, " "), nil
	case "call all": // and wait for none
		for i := range uint32(cellCount) {
			w.ask(i, 1, "wait", nil, 0)
		}
		return "asked", nil
	case "call twice":
		w.ask(0, 1, "wait", nil, 0)
		w.ask(0, 2, "wait", nil, 0)
	case "call cell":
		w.ask(0, 1, "wait", nil, 0)
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall, Slot: cellCount, Gen: 1})
	case "call generation":
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall, Slot: 0})
	case "call for":
		w.put(ring.Entry{Code: runtime.CallBinding, Flags: ring.FlagCall, Slot: 0, Gen: 1, For: uint32(w.y.Slots) + 1})
	case "call flags":
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall | ring.FlagMore, Slot: 0, Gen: 1})
	case "call outside":
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall, Slot: 0, Gen: 1, BodyOff: uint64(w.y.size) - 1, BodyLen: 2})
	case "call overflow":
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall, Slot: 0, Gen: 1, MetaOff: ^uint64(0) - 4, MetaLen: 24})
	case "call meta":
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall, Slot: 0, Gen: 1, MetaOff: e.BodyOff, MetaLen: 3})
	case "call huge":
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall | ring.FlagFD, Slot: 0, Gen: 1, MetaLen: 1 << 31, BodyLen: 1 << 31})
	case "call file generation":
		if err := w.sendCallFile(0, 2, packCall("echo", "", "", "")); err != nil {
			return "", err
		}
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall | ring.FlagFD, Slot: 0, Gen: 1, MetaLen: 24})
	case "call short file":
		if err := w.sendCallFile(0, 1, nil); err != nil {
			return "", err
		}
		w.put(ring.Entry{Code: 1, Flags: ring.FlagCall | ring.FlagFD, Slot: 0, Gen: 1, MetaLen: 24, BodyLen: 1 << 27})
	}
	if strings.HasPrefix(mode, "call") {
		select {} // until it is killed
	}
	return "", nil
}

func ask(t *testing.T, in *Instance, body string) string {
	t.Helper()
	var resp event.Response
	if err := in.Invoke(t.Context(), &event.Event{Body: []byte(body)}, &resp); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return string(resp.Body)
}

func TestCalls(t *testing.T) {
	in := openWorker(t, "calls", Limits{})
	for _, c := range []struct{ body, want string }{
		{"echo 3", "201 0 ccc"},
		{"echo 5000", "201 0 5000 bytes of c"},
		{"echo 4194000", "201 0 4194000 bytes of c"},
		{"echo 5000000", "201 1 5000000 bytes of c"}, // above a quarter of the arena: a file
		{"fail 1", "404 2 no such thing"},
		{"panic 1", "500 2 call panicked: on purpose"},
		{"wait 1", "500 2 context deadline exceeded"},
		{"echo 0", "201 0 "},
	} {
		for range 5 {
			if c.body == "wait 1" && testing.Short() {
				continue
			}
			if got := ask(t, in, c.body); got != c.want {
				t.Errorf("%s: %q, want %q", c.body, got, c.want)
			}
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sweepAnswers()
	if in.calls.held != 0 {
		t.Errorf("%d bytes of the arena still hold answers", in.calls.held)
	}
}

func TestLargeCall(t *testing.T) {
	in := openWorker(t, "call in file", Limits{})
	if got := ask(t, in, strings.Repeat("z", 100)); got != strings.Repeat("z", 100) {
		t.Errorf("%q", got)
	}
}

// A worker that is killed with all of its cells in use: the calls are
// cancelled, and nothing is left.
func TestCallsDieWithTheirWorker(t *testing.T) {
	defer goleak.VerifyNone(t)
	caller := &testCaller{}
	in := openCaller(t, "call all", caller)
	if got := ask(t, in, ""); got != "asked" {
		t.Fatal(got)
	}
	eventually(t, func() bool { return caller.running.Load() == cellCount })
	if err := unix.Kill(in.Pid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return caller.cancelled.Load() == cellCount })
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// The calls of bindings that an event leaves in flight are ended before it is
// answered, and then its scope is; the worker's own scope ends with the worker.
func TestScopes(t *testing.T) {
	defer goleak.VerifyNone(t)
	caller := &testCaller{}
	in := openCaller(t, "call bind", caller)
	var last, whole string
	for i := range int32(20) {
		said := strings.Fields(ask(t, in, ""))
		if len(said) != 4 || said[0] != said[1] || said[2] != said[3] || said[0] == said[2] || said[0] == last || i > 0 && said[3] != whole {
			t.Fatalf("scopes of calls of one event, and of none: %s; before: %s", said, last)
		}
		last, whole = said[0], said[3]
		if caller.cancelled.Load() != 3*(i+1) || caller.ended.Load() != i+1 || caller.early.Load() != 0 {
			t.Fatalf("after %d events %d calls were ended, %d scopes, %d early", i+1, caller.cancelled.Load(), caller.ended.Load(), caller.early.Load())
		}
	}
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := caller.ended.Load(); n != 21 {
		t.Errorf("%d scopes ended with the worker", n)
	}
}

func TestHostileCalls(t *testing.T) {
	for _, mode := range []string{"call twice", "call cell", "call for", "call generation", "call flags", "call outside", "call overflow",
		"call meta", "call huge", "call file generation", "call short file"} {
		t.Run(mode, func(t *testing.T) {
			in := openWorker(t, mode, Limits{})
			err := in.Invoke(t.Context(), &event.Event{Body: []byte("abc")}, &event.Response{})
			if !errors.Is(err, event.ErrCrashed) {
				t.Errorf("%v", err)
			}
			if in.violation.Load() == nil {
				t.Error("no violation was noticed")
			}
		})
	}
}

// Answers have a quarter of the arena at most, and events the rest: those of a
// worker that takes none back do not hold up its events.
func TestAnswersLeaveRoomForEvents(t *testing.T) {
	in := openWorker(t, "calls", Limits{Arena: 256 << 10})
	for i := range 40 {
		if got := ask(t, in, "echo 40000"); got != "201 0 40000 bytes of c" && got != "201 1 40000 bytes of c" {
			t.Fatalf("%d: %s", i, got)
		}
		in.mu.Lock()
		held := in.calls.held
		in.mu.Unlock()
		if held > in.Arena/4 {
			t.Fatalf("answers hold %d bytes of %d", held, in.Arena)
		}
		large := "echo 7" + strings.Repeat(" ", 50_000) // an event that needs a block
		if got := ask(t, in, large); got != "201 0 ccccccc" {
			t.Fatalf("%d: %s", i, got)
		}
	}
}

func TestAnswerAboveTheLimit(t *testing.T) {
	in := openWorker(t, "calls", Limits{MaxBody: 1 << 20})
	if got := ask(t, in, "double 600000"); got != "502 2 answer of 1200000 bytes is above the limit of 1048576" {
		t.Error(got)
	}
	if got := ask(t, in, "double 5"); got != "201 0 cccccccccc" {
		t.Error(got)
	}
}

// A worker that was told there are no calls and makes one breaks the rules.
func TestNoCalls(t *testing.T) {
	in := openCaller(t, "calls", nil)
	if err := in.Invoke(t.Context(), &event.Event{Body: []byte("echo 1")}, &event.Response{}); !errors.Is(err, event.ErrCrashed) {
		t.Error(err)
	}
}

func openCaller(t *testing.T, mode string, caller runtime.Caller) *Instance {
	t.Helper()
	o := Options{Path: os.Args[0], Env: []string{"SHM_TEST_WORKER=" + mode}, Log: discard, FunctionLog: discard, Calls: caller}
	in, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(context.Background()) })
	return in
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func TestCallVectors(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/shared-memory.md")
	if err != nil {
		t.Fatal(err)
	}
	meta := packCall("greeter", "POST", "/a", "text/plain", "X-A", "1")
	var call runtime.Call
	if err := wire.DecodeCall(meta, &call); err != nil {
		t.Fatal(err)
	}
	if want := (runtime.Call{Name: "greeter", Method: "POST", Path: "/a", ContentType: "text/plain", Headers: []event.Field{{Key: "X-A", Value: "1"}}}); call.Name != want.Name ||
		call.Method != want.Method || call.Path != want.Path || call.ContentType != want.ContentType || !slices.Equal(call.Headers, want.Headers) {
		t.Errorf("%+v", call)
	}
	one := aligned(ring.EntrySize)
	r := ring.New(one, 1)
	r.Put(&ring.Entry{Code: 1, Flags: ring.FlagCall, Slot: 3, Gen: 5, MetaOff: 0x114840, MetaLen: uint32(len(meta)), BodyOff: 0x114840 + uint64(len(meta)), BodyLen: 2, Nanos: 1e9})
	binary.LittleEndian.PutUint32(one[ring.OffClaim:], 0) // responses have no use for it
	y := newLayout(Limits{}.withDefaults())
	in := &Instance{bellFD: -1}
	in.attach(y, aligned(int(y.size)))
	in.publishAnswer(in.calls.cells[3], &ring.Entry{Code: 200, Gen: 5, MetaOff: 0x114840, MetaLen: 22, BodyOff: 0x114856, BodyLen: 2})
	for name, b := range map[string][]byte{
		"the metadata of a call": meta, "the entry of a call": one, "the line of an answered cell": in.mem[y.cell(3) : y.cell(3)+cellRoom],
	} {
		if want := strings.TrimSpace(dump(b)); !strings.Contains(string(page), "\n"+want+"\n") {
			t.Errorf("%s is not in the page:\n%s", name, want)
		}
	}
	if got := hex.EncodeToString(wire.EncodeAnswer(&event.Response{ContentType: "text/plain"})); got != "0a0000000000000000000000746578742f706c61696e" {
		t.Errorf("metadata of an answer: %s", got)
	}
}

func FuzzCall(f *testing.F) {
	f.Add(packCall("n", "m", "/", "t", "k", "v"))
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		var call runtime.Call
		if wire.DecodeCall(b, &call) == nil && len(call.Headers)*8+24 > len(b) {
			t.Errorf("%d headers from %d bytes", len(call.Headers), len(b))
		}
	})
}

// Whatever an entry says of a call, it is refused or lies inside the mapping.
func FuzzCallEntry(f *testing.F) {
	y := newLayout(Limits{Slots: 2, Arena: 64 << 10}.withDefaults())
	in := &Instance{}
	in.calls.begin(&testCaller{})
	in.attach(y, aligned(int(y.size)))
	f.Add(uint16(64), uint32(0), uint32(1), uint64(0), uint64(0), uint32(24), uint32(0), uint16(1), uint32(0), uint32(0))
	f.Add(uint16(64), uint32(0), uint32(1), uint64(0), uint64(0), uint32(24), uint32(0), uint16(3), uint32(2), uint32(1))
	in.slots[1].armed.Store(1)
	f.Fuzz(func(t *testing.T, flags uint16, cell, gen uint32, metaOff, bodyOff uint64, metaLen, bodyLen uint32, kind uint16, owner, ownerGen uint32) {
		e := ring.Entry{Code: kind, Flags: flags, Slot: cell, Gen: gen, MetaOff: metaOff, BodyOff: bodyOff, MetaLen: metaLen, BodyLen: bodyLen, For: owner, ForGen: ownerGen}
		if in.checkCall(&e) != nil {
			return
		}
		if sc := in.scopeOf(&e); (sc != in.calls.whole) != (owner == 2 && ownerGen == 1) {
			t.Errorf("%+v is a call of another's", e)
		}
		if flags&ring.FlagFD != 0 {
			return
		}
		if gen == 0 || cell >= cellCount || metaOff+uint64(metaLen) > uint64(y.size) || bodyOff+uint64(bodyLen) > uint64(y.size) {
			t.Errorf("believed %+v", e)
		}
	})
}
