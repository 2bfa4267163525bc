package dealer

import "errors"

// Path is where a dealer takes beats over HTTP: one POST whose body is lines of
// JSON, each a list of calls, and whose response is lines of lists of replies.
// Both go on for as long as the processor lives. A dealer that does not deal
// answers 503.
const Path = "/dealer/v1/beats"

// TablesPath is where a dealer tells, to a GET, of its tables; with a name
// behind it, of one and its last moves.
const TablesPath = "/dealer/v1/tables"

// MaxLine bounds one line.
const MaxLine = 64 << 20

// Call is one beat, for one of the tables.
type Call struct {
	Table string `json:"table"`
	// Resources are all that there are, told when the stream begins and when
	// they change; of two lists that with the greater Edition counts. nil: not
	// told now.
	Resources []Resource `json:"resources,omitempty"`
	Edition   uint64     `json:"edition,omitempty"`
	// Seen are epochs for which a store of checkpoints refused lower ones.
	Seen []Lease `json:"seen,omitempty"`
	Beat Beat    `json:"beat"`
}

// Reply answers the beats of a table.
type Reply struct {
	Table  string `json:"table"`
	Answer Answer `json:"answer"`
}

const maxName = 512

// Check says what is wrong with a call that came from elsewhere.
func (c *Call) Check() error {
	b := &c.Beat
	switch {
	case c.Table == "" || len(c.Table) > maxName:
		return errors.New("the name of a table has 1 to 512 bytes")
	case b.Processor == "" || len(b.Processor) > maxName:
		return errors.New("the name of a processor has 1 to 512 bytes")
	case b.Capacity < 0 || b.Capacity > 1<<20:
		return errors.New("a capacity is 1 to 1048576")
	case len(b.Zone) > maxName:
		return errors.New("the name of a zone has at most 512 bytes")
	}
	for _, r := range c.Resources {
		if r.Name == "" || len(r.Name) > maxName || len(r.Pin) > maxName || len(r.Apart) > maxName {
			return errors.New("the name of a resource has 1 to 512 bytes")
		}
	}
	return nil
}
