package mqtt

import (
	"fmt"
	"sync"

	"github.com/myelin-run/myelin/trigger/mqtt/link"
)

// desk knows the messages of a session that are not acked, and acks them: in
// the order in which they came, unless it need not.
type desk struct {
	conn     *link.Conn
	anyOrder bool
	recorded func(id uint16, sum uint64) // called before the first ack of one of QoS 2

	mu      sync.Mutex
	flights []flight
	head    int    // of flights: those before it are acked
	first   uint64 // tag of flights[0]
}

// flight is a message that is on its way through the processor.
type flight struct {
	id   uint16
	sum  uint64 // of one of QoS 2
	qos  byte
	done bool // and acked, if in any order
}

// open notes a message. The tag of one that wants no ack is 0.
func (d *desk) open(m *link.Message) uint64 {
	if m.QoS == 0 {
		return 0
	}
	f := flight{id: m.ID, qos: m.QoS}
	if m.QoS == 2 {
		f.sum = m.Sum()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.head > 64 && d.head > len(d.flights)/2 {
		n := copy(d.flights, d.flights[d.head:])
		d.flights, d.first, d.head = d.flights[:n], d.first+uint64(d.head), 0
	}
	d.flights = append(d.flights, f)
	return d.first + uint64(len(d.flights))
}

// done acks a message, or sees to it that it is acked after those before it.
// The ack waits for a tell.
func (d *desk) done(tag uint64) error {
	if tag == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := int64(tag - d.first - 1)
	if tag <= d.first || at < int64(d.head) || at >= int64(len(d.flights)) || d.flights[at].done {
		return fmt.Errorf("no message with the tag %d is open", tag)
	}
	f := &d.flights[at]
	f.done = true
	if d.anyOrder {
		if err := d.ack(*f); err != nil {
			return err
		}
	}
	for ; d.head < len(d.flights) && d.flights[d.head].done; d.head++ {
		if !d.anyOrder {
			if err := d.ack(d.flights[d.head]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *desk) ack(f flight) error {
	if f.qos == 1 {
		return d.conn.Put(link.Puback, f.id)
	}
	d.recorded(f.id, f.sum)
	return d.conn.Put(link.Pubrec, f.id)
}

// empty reports whether all is acked.
func (d *desk) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.head == len(d.flights)
}
