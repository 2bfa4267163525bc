package kinesis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// place is where a shard is read on. The zero place is none yet: parents are read
// first.
type place struct {
	kind     placeKind
	time     time.Time // of atTime
	sequence string    // of after and within
	sub      int       // of within: the last that is done of those that are in one record
}

type placeKind int

const (
	nowhere   placeKind = iota
	atHorizon           // the oldest record
	atTime              // what came at a time or later
	after               // behind a record
	within              // behind one of those that are in a record
	atEnd               // the shard was closed, and all of it is done
	skipped             // it was closed before anybody wanted to read it
)

// String is the place as it is kept.
func (p place) String() string {
	switch p.kind {
	case atHorizon:
		return "horizon"
	case atTime:
		return "time " + strconv.FormatInt(p.time.UnixMilli(), 10)
	case after:
		return "after " + p.sequence
	case within:
		return "within " + p.sequence + " " + strconv.Itoa(p.sub)
	case atEnd:
		return "end"
	case skipped:
		return "skipped"
	}
	return "none"
}

// parsePlace reads what String wrote.
func parsePlace(s string) (p place, err error) {
	word, rest, _ := strings.Cut(s, " ")
	switch word {
	case "none":
	case "horizon":
		p.kind = atHorizon
	case "end":
		p.kind = atEnd
	case "skipped":
		p.kind = skipped
	case "time":
		var ms int64
		ms, err = strconv.ParseInt(rest, 10, 64)
		p.kind, p.time, rest = atTime, time.UnixMilli(ms), ""
	case "within":
		sequence, sub, _ := strings.Cut(rest, " ")
		p.kind, p.sequence, rest = within, sequence, ""
		if p.sub, err = strconv.Atoi(sub); err == nil && p.sub < 0 || !isSequence(sequence) {
			err = errors.New("no such record")
		}
	case "after":
		p.kind, p.sequence = after, rest
		if !isSequence(rest) {
			err = errors.New("no such record")
		}
		rest = ""
	default:
		err = errors.New("no such word")
	}
	if err == nil && rest != "" {
		err = errors.New("there is more behind it")
	}
	if err != nil {
		return place{}, fmt.Errorf("the checkpoint %.80q is none: %w", s, err)
	}
	return p, nil
}

// over reports whether nothing of the shard is left to be read.
func (p place) over() bool { return p.kind == atEnd || p.kind == skipped }

// ask has the service find the place.
func (p place) ask(in map[string]any) {
	switch p.kind {
	case atTime:
		in["ShardIteratorType"], in["Timestamp"] = "AT_TIMESTAMP", float64(p.time.UnixMilli())/1000
	case after:
		in["ShardIteratorType"], in["StartingSequenceNumber"] = "AFTER_SEQUENCE_NUMBER", p.sequence
	case within:
		in["ShardIteratorType"], in["StartingSequenceNumber"] = "AT_SEQUENCE_NUMBER", p.sequence
	default:
		in["ShardIteratorType"] = horizon
	}
}
