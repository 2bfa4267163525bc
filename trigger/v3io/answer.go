package v3io

import (
	"fmt"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// answer is what GetRecords brings.
type answer struct {
	NextLocation        string
	RecordsBehindLatest int64
	Records             []record
}

// record is one of them. Its blobs are base64 in JSON.
type record struct {
	SequenceNumber  int64
	ArrivalTimeSec  int64
	ArrivalTimeNSec int64
	PartitionKey    string
	ClientInfo      []byte
	Data            []byte
}

// mostSequence bounds what sequences are believed, so that one more is a number.
const mostSequence = 1 << 62

// check says what an answer cannot be.
func (a *answer) check() error {
	if err := checkLocation(a.NextLocation); err != nil {
		return err
	}
	if a.RecordsBehindLatest < 0 || a.RecordsBehindLatest > mostSequence {
		return fmt.Errorf("%d records are said to be behind", a.RecordsBehindLatest)
	}
	before := int64(-1)
	for i := range a.Records {
		r := &a.Records[i]
		if r.SequenceNumber <= before || r.SequenceNumber > mostSequence {
			return fmt.Errorf("a record with the sequence %d is behind one with %d", r.SequenceNumber, before)
		}
		if r.ArrivalTimeNSec < 0 || r.ArrivalTimeNSec >= int64(time.Second) || r.ArrivalTimeSec < 0 || r.ArrivalTimeSec > mostSeconds {
			return fmt.Errorf("the record with the sequence %d says to be of %d s and %d ns", r.SequenceNumber, r.ArrivalTimeSec, r.ArrivalTimeNSec)
		}
		before = r.SequenceNumber
	}
	return nil
}

// mostSeconds is the last second of the year 9999, which times can be written of.
const mostSeconds = 253402300799

// batch makes what the engine is given of the records from next on; one of none
// if there are none. The shard ends behind those that the platform says to follow.
func (a *answer) batch(l stream.Lease, next int64) stream.Batch {
	rs := a.Records
	for len(rs) > 0 && rs[0].SequenceNumber < next {
		rs = rs[1:]
	}
	b := stream.Batch{Lease: l, Records: &records{all: rs}}
	for i := range rs {
		b.Bytes += len(rs[i].Data) + len(rs[i].PartitionKey) + len(rs[i].ClientInfo) + 100
	}
	if len(rs) > 0 {
		b.End = rs[len(rs)-1].SequenceNumber + 1 + a.RecordsBehindLatest
	}
	return b
}

// records are those of a batch.
type records struct{ all []record }

var _ stream.Records = (*records)(nil)

// Len implements [stream.Records].
func (rs *records) Len() int { return len(rs.all) }

// At implements [stream.Records].
func (rs *records) At(i int) (int64, []byte) {
	r := &rs.all[i]
	if r.PartitionKey == "" {
		return r.SequenceNumber, nil
	}
	return r.SequenceNumber, []byte(r.PartitionKey)
}

// clientInfo is the header that has what the producer has put beside the data.
const clientInfo = "client-info"

// Read implements [stream.Records].
func (rs *records) Read(i int, ev *event.Event) {
	r := &rs.all[i]
	ev.Body = r.Data
	ev.Time = time.Unix(r.ArrivalTimeSec, r.ArrivalTimeNSec).UTC()
	if len(r.ClientInfo) > 0 {
		ev.Headers = event.Pairs{{Key: clientInfo, Value: r.ClientInfo}}
	}
}

// Release implements [stream.Records]. Nothing is used again.
func (rs *records) Release() {}
