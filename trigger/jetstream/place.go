package jetstream

import (
	"strings"
)

// place is what the reply subject of a message says of it.
type place struct {
	seq       uint64 // in the stream
	delivered int    // how often, this time included
	time      int64  // when the stream took it, in ns since 1970
}

// parsePlace reads $JS.ACK.stream.consumer.delivered.seq.consumerSeq.time.pending,
// or with domain and account in front of the stream.
func parsePlace(reply string) (p place, ok bool) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	if !ok {
		return p, false
	}
	skip := 2
	if strings.Count(rest, ".") >= 8 {
		skip = 4
	}
	var numbers [4]uint64
	for i := 0; i < skip+len(numbers); i++ {
		token, behind, more := strings.Cut(rest, ".")
		if i >= skip {
			if numbers[i-skip], ok = digits(token); !ok {
				return p, false
			}
		}
		if !more && i < skip+len(numbers)-1 {
			return p, false
		}
		rest = behind
	}
	return place{seq: numbers[1], delivered: int(max(numbers[0], 1)), time: int64(numbers[3])}, true
}

func digits(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, true
}
