package remote

import (
	"encoding/binary"
	"net/http"
	"sync"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

// Carried is what was fetched for an event, as the event takes it along to its
// function. It implements [event.Brought].
type Carried struct {
	fetched *data.Fetched
	once    sync.Once
	written []byte
}

// Carry makes it.
func Carry(f *data.Fetched) *Carried { return &Carried{fetched: f} }

// Fetched returns what was fetched.
func (c *Carried) Fetched() *data.Fetched { return c.fetched }

// carriedMost is how many bytes an event takes along. What is above that the
// function's call finds in the processor.
const carriedMost = 256 << 10

// Append writes what was fetched for a worker, which does not have to ask then:
// for each thing u32 lengths of the binding, its name, the key, the metadata and
// the body of the answer, u32 status, and these.
func (c *Carried) Append(b []byte) []byte {
	c.once.Do(func() {
		for _, it := range c.fetched.Items() {
			c.written = appendItem(c.written, it)
		}
	})
	return append(b, c.written...)
}

func appendItem(b []byte, it *data.Item) []byte {
	a := event.Response{Status: http.StatusOK}
	switch {
	case it.Err != nil:
		a.Status = http.StatusNotFound
	case it.Rows != nil:
		a.ContentType, a.Body = "application/json", appendResult(nil, it.Rows)
	default:
		a.Body = it.Value.Data
		a.ContentType = it.Info.ContentType
		version := it.Value.Version
		if it.Info.Version != "" {
			version = it.Info.Version
		}
		a.SetHeader("Version", version)
	}
	meta := wire.EncodeAnswer(&a)
	if len(b)+len(it.Key)+len(meta)+len(a.Body) > carriedMost {
		return b
	}
	for _, n := range []int{len(it.Binding), len(it.As), len(it.Key), len(meta), len(a.Body), a.Status} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	b = append(append(append(b, it.Binding...), it.As...), it.Key...)
	return append(append(b, meta...), a.Body...)
}
