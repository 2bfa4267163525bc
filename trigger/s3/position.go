package s3

import (
	"encoding/json"
	"fmt"
)

// position is how far a bucket was listed. Passes go through all keys in their
// order; of those that are listed, the ones are new that were written since the
// beginning of the overlap, and are not remembered. Times are milliseconds since
// 1970, as the service has them.
type position struct {
	Pass  int64  `json:"p"` // so that no two positions are the same
	Since int64  `json:"s"` // objects written before are not new
	Max   int64  `json:"m"` // when the newest object was written that was listed
	After string `json:"a"` // the key up to which the pass has come
}

// next is the beginning of the pass after this one. Objects below the floor are no
// longer remembered.
func (p position) next(overlap, floor int64) position {
	return position{Pass: p.Pass + 1, Since: max(p.Since, p.Max-overlap, floor), Max: p.Max}
}

func (p position) cursor() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // of numbers and a text
	}
	return string(b)
}

func parsePosition(cursor string) (p position, err error) {
	if cursor == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(cursor), &p); err != nil {
		return p, fmt.Errorf("the place %.100q is none of this trigger", cursor)
	}
	return p, nil
}
