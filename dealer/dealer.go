// Package dealer shares resources (shards, partitions, tasks) among processors
// that come, go and die. It is two state machines: [Table], the dealer's side,
// decides who gets what and leases it, and [Holder], a processor's side, keeps
// to that. Beats and the time go in, answers come out; the same input always
// gives the same output. It has no clock, goroutine, network, log or
// randomness, and knows neither where a table is stored nor what a resource is.
//
// There is one message, the beat, and one reply to it, the answer; both are
// states and not changes, so that those that are lost, late or come twice do no
// harm. A processor says all that it holds, and is told all that it should hold.
// A move takes two beats: the old holder is told no more of the resource, lets
// go of it and beats without it; then the new one is told of it.
package dealer

import "cmp"

// Time is in milliseconds, on whichever clock the caller has. Only differences
// count, and never those between the clocks of two machines.
type Time int64

// Epoch counts the leases of a resource. A checkpoint under an old epoch has to
// be refused by who stores it, so that a processor that was thought dead does
// no harm.
type Epoch uint32

// Resource is one thing that one processor at a time works on.
type Resource struct {
	Name string `json:"name"`
	// Pin is the processor that alone may have it; "": any. While that one is
	// not there nobody has it.
	Pin string `json:"pin,omitempty"`
	// Apart names a group whose resources are kept in different zones, as far as
	// there are zones and the shares stay even.
	Apart string `json:"apart,omitempty"`
}

// Lease is the right to work on a resource.
type Lease struct {
	Resource string `json:"resource"`
	Epoch    Epoch  `json:"epoch"`
}

// Mark names one state of what a processor should hold: the version'th that the
// dealer of a term told.
type Mark struct {
	Term    uint64 `json:"term"`
	Version uint64 `json:"version"`
}

// Compare orders marks.
func (m Mark) Compare(o Mark) int {
	return cmp.Or(cmp.Compare(m.Term, o.Term), cmp.Compare(m.Version, o.Version))
}

// Beat is what a processor says of itself: all of it, each time.
type Beat struct {
	Processor string `json:"processor"`
	// Session is greater than that of any earlier process of this name: the
	// dealer takes those for dead.
	Session uint64 `json:"session"`
	Seq     uint64 `json:"seq"` // of the session's beats, rising
	// Seen is the last answer that the processor keeps to.
	Seen Mark `json:"seen"`
	// Same says that it holds exactly what that answer says; Holds is empty then.
	Same  bool    `json:"same,omitempty"`
	Holds []Lease `json:"holds,omitempty"`

	Capacity int    `json:"capacity,omitempty"` // its weight among the others; 0 is 1
	Zone     string `json:"zone,omitempty"`
	// Leaving says that it takes nothing more and gives all back. A beat of one
	// that is leaving and holds nothing is its last.
	Leaving bool `json:"leaving,omitempty"`
}

// Answer is all that a processor should hold.
type Answer struct {
	Processor string  `json:"processor"`
	Session   uint64  `json:"session"`
	Seq       uint64  `json:"seq"` // of the last beat that was heard
	Mark      Mark    `json:"mark"`
	TTL       Time    `json:"ttl"` // how long the processor may be silent
	Leases    []Lease `json:"leases,omitempty"`
	// Left says that the processor has left and is to beat no more.
	Left bool `json:"left,omitempty"`
}

// Options of a table.
type Options struct {
	// TTL is how long a processor may be silent before its leases are free.
	TTL Time
	// Patience is how long a living holder may take to let go of a resource
	// before it is leased to another nevertheless; 0: for ever. A holder that
	// does not let go in time works on beside the new one until its next
	// checkpoint is refused.
	Patience Time
}
