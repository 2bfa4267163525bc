package soak

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// golang is the runtime of functions that lie in this process: nothing dies
// there, so they panic, fail and do not return in time instead.
func golang() *language {
	open := sync.OnceValues(openLedger)
	f := native.Function{
		New: func(ctx *myelin.Context) (native.Call, error) {
			var err error
			ctx.UserData, err = open()
			return goOne, err
		},
		Many: goMany,
	}
	return &language{name: "golang", factory: native.Factory(f), timeout: 500 * time.Millisecond, shares: map[string]int{"": 10}, short: 100_000,
		paths: []path{{"/stall", 1}, {"/panic", 500}, {"/permanent", 500}, {"/echo", 12_000}, {"/view", 12_000}, {"/raise", 1000}, {"/call", 4000}, {"/stream", 2000}}}
}

type ledgerFile struct{ runs []uint32 }

// openLedger maps the file that the runs are noted in: a byte per event.
func openLedger() (*ledgerFile, error) {
	f, err := os.OpenFile(os.Getenv("LEDGER"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ledger: %w", err)
	}
	return &ledgerFile{unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), len(b)/4)}, nil
}

// note adds 1 to the byte of event n, of which others may change the neighbours.
func (l *ledgerFile) note(n int) { atomic.AddUint32(&l.runs[n/4], 1<<(8*(n%4))) }

// goMany is the function on lists: what fails, fails its event alone.
func goMany(ctx *myelin.Context, evs []*event.Event, resps []*event.Response, errs []error) error {
	for i, ev := range evs {
		func() {
			defer func() {
				if r := recover(); r != nil {
					errs[i] = event.Errorf(500, "%v", r)
				}
			}()
			errs[i] = goOne(ctx, ev, resps[i])
		}()
	}
	return nil
}

func goOne(ctx *myelin.Context, ev *event.Event, resp *event.Response) error {
	n, err := strconv.Atoi(string(ev.ID))
	if err != nil {
		return err
	}
	ctx.UserData.(*ledgerFile).note(n)
	switch string(ev.Path) {
	case "/echo", "/view":
		resp.Body = append(resp.Body, ev.Body...)
	case "/stream":
		resp.Stream = io.NopCloser(bytes.NewReader(bytes.Clone(ev.Body)))
	case "/raise":
		return event.Errorf(500, "deliberate failure")
	case "/permanent":
		return event.Permanent(event.Errorf(400, "deliberate failure"))
	case "/panic":
		panic("deliberate")
	case "/stall":
		time.Sleep(800 * time.Millisecond)
		return errors.New("nobody waits for this")
	case "/call":
		answer, err := ctx.Platform.CallFunction(ctx, "echo", &event.Event{Body: ev.Body, Method: ev.Method})
		if err != nil {
			return err
		}
		resp.Body = append(resp.Body, answer.Body...)
	default:
		resp.Body = fmt.Appendf(resp.Body, "%d %d", n, crc32.ChecksumIEEE(ev.Body))
	}
	return nil
}
