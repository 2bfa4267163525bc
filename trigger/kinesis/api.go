package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
)

var service = amazon.Service{Name: "kinesis", Target: "Kinesis_20131202", JSON: "1.1"}

// api is the actions of the service that are used, of one stream.
type api struct {
	*amazon.Client
	stream string
}

const (
	mostShards = 100_000 // that a stream may say to have
	mostPages  = 1000    // of a list of shards
)

// list says which shards the stream has.
func (a *api) list(ctx context.Context) (*listing, error) {
	created, err := a.created(ctx)
	if err != nil {
		return nil, err
	}
	l := &listing{created: created, shards: map[int32]shard{}}
	in := map[string]any{"StreamName": a.stream}
	for range mostPages {
		next, err := a.page(ctx, in, l)
		if err != nil {
			return nil, err
		}
		if next == "" {
			if len(l.shards) == 0 {
				return nil, errors.New("ListShards: the stream has no shard")
			}
			return l, nil
		}
		in = map[string]any{"NextToken": next}
	}
	return nil, errors.New("ListShards: the list has no end")
}

// created is when the stream was made, in seconds.
func (a *api) created(ctx context.Context) (int64, error) {
	var out struct {
		StreamDescriptionSummary struct{ StreamCreationTimestamp float64 }
	}
	if err := a.Call(ctx, "DescribeStreamSummary", 0, map[string]any{"StreamName": a.stream}, &out); err != nil {
		return 0, err
	}
	return int64(out.StreamDescriptionSummary.StreamCreationTimestamp), nil
}

func (a *api) page(ctx context.Context, in any, l *listing) (next string, err error) {
	var out struct {
		NextToken string
		Shards    []struct {
			ID                  string `json:"ShardId"`
			Parent              string `json:"ParentShardId"`
			Adjacent            string `json:"AdjacentParentShardId"`
			SequenceNumberRange struct{ EndingSequenceNumber string }
		}
	}
	if err := a.Call(ctx, "ListShards", 0, in, &out); err != nil {
		return "", err
	}
	for _, s := range out.Shards {
		n, err := numberOf(s.ID)
		if err != nil {
			return "", fmt.Errorf("ListShards: %w", err)
		}
		sh := shard{n: n, closed: s.SequenceNumberRange.EndingSequenceNumber != ""}
		for _, id := range []string{s.Parent, s.Adjacent} {
			if id == "" {
				continue
			}
			p, err := numberOf(id)
			if err != nil {
				return "", fmt.Errorf("ListShards: %w", err)
			}
			if p >= n {
				return "", fmt.Errorf("ListShards: shard %d is said to be a parent of %d, which is older", p, n)
			}
			sh.parents = append(sh.parents, p)
		}
		l.shards[n] = sh
	}
	if len(l.shards) > mostShards {
		return "", fmt.Errorf("ListShards: the stream says that it has %d shards", len(l.shards))
	}
	return out.NextToken, nil
}

// mostIterator bounds an iterator, which is sent back as it came.
const mostIterator = 8 << 10

// iterator is asked for at a place in a shard.
func (a *api) iterator(ctx context.Context, n int32, at place) (string, error) {
	in := map[string]any{"StreamName": a.stream, "ShardId": idOf(n)}
	at.ask(in)
	return a.ask(ctx, in)
}

func (a *api) ask(ctx context.Context, in any) (string, error) {
	var out struct{ ShardIterator string }
	if err := a.Call(ctx, "GetShardIterator", 0, in, &out); err != nil {
		return "", err
	}
	if out.ShardIterator == "" || len(out.ShardIterator) > mostIterator {
		return "", fmt.Errorf("GetShardIterator: the iterator has %d bytes", len(out.ShardIterator))
	}
	return out.ShardIterator, nil
}

// records are asked for where an iterator is.
func (a *api) records(ctx context.Context, iterator string, limit int) (*answer, error) {
	out := &answer{}
	if err := a.Call(ctx, "GetRecords", 0, map[string]any{"ShardIterator": iterator, "Limit": limit}, out); err != nil {
		return nil, err
	}
	if err := out.check(); err != nil {
		return nil, fmt.Errorf("GetRecords: %w", err)
	}
	return out, nil
}

// answer is what GetRecords brings.
type answer struct {
	Records            []record
	NextShardIterator  string // "": the shard was closed, and this was its end
	MillisBehindLatest int64
}

// record is one of the service's. Its data is base64 in JSON.
type record struct {
	SequenceNumber              string
	ApproximateArrivalTimestamp float64 // seconds
	PartitionKey                string
	Data                        []byte
}

// mostSeconds is the last second of the year 9999, which times can be written of.
const mostSeconds = 253402300799

// check says what an answer cannot be.
func (a *answer) check() error {
	if len(a.NextShardIterator) > mostIterator {
		return fmt.Errorf("the iterator has %d bytes", len(a.NextShardIterator))
	}
	before := ""
	for i := range a.Records {
		r := &a.Records[i]
		if !isSequence(r.SequenceNumber) {
			return fmt.Errorf("a record has the sequence number %.40q", r.SequenceNumber)
		}
		if !less(before, r.SequenceNumber) {
			return fmt.Errorf("a record with the sequence number %s is behind one with %s", r.SequenceNumber, before)
		}
		if t := r.ApproximateArrivalTimestamp; !(t >= 0 && t <= mostSeconds) {
			return fmt.Errorf("the record %s says to be of the second %g", r.SequenceNumber, t)
		}
		before = r.SequenceNumber
	}
	return nil
}

func (r *record) time() time.Time {
	return time.UnixMilli(int64(r.ApproximateArrivalTimestamp*1000 + 0.5)).UTC()
}

// mostDigits bounds a sequence number, which has up to 128 bits or, some, more.
const mostDigits = 128

func isSequence(s string) bool {
	return s != "" && len(s) <= mostDigits && strings.Trim(s, "0123456789") == ""
}

// less compares sequence numbers.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// tip is an iterator for what comes from now on.
func (a *api) tip(ctx context.Context, n int32) (string, error) {
	return a.ask(ctx, map[string]any{"StreamName": a.stream, "ShardId": idOf(n), "ShardIteratorType": latest})
}
