package sql

import (
	"time"
)

// horizon says how far may be read: to the last row that there was a while ago.
// Rows get their watermarks in one order and become visible in another, when
// their transactions commit. What was the last row then has none before it any
// more, unless a transaction lasts longer than that.
type horizon struct {
	settle time.Duration
	seen   []sight // oldest first
}

// sight is which row was the last at some time.
type sight struct {
	at     time.Time
	cursor string
}

// most bounds how many are remembered.
const most = 64

// saw notes the last row that there is now.
func (h *horizon) saw(now time.Time, cursor string) {
	if n := len(h.seen); n > 1 {
		last, before := h.seen[n-1], h.seen[n-2]
		if last.cursor == cursor || now.Sub(before.at) < h.settle/most {
			if last.cursor != cursor { // it stands in for the one before, and has to wait as long as it itself does
				h.seen[n-1] = sight{now, cursor}
			}
			return
		}
	} else if n == 1 && h.seen[0].cursor == cursor {
		return
	}
	h.seen = append(h.seen, sight{now, cursor})
}

// reach is the row up to which may be read; false if none may. next is how long
// it takes until more may be, 0 if there is no more.
func (h *horizon) reach(now time.Time) (cursor string, ok bool, next time.Duration) {
	for len(h.seen) > 1 && now.Sub(h.seen[1].at) >= h.settle {
		h.seen = h.seen[1:]
	}
	for i, s := range h.seen {
		if age := now.Sub(s.at); age < h.settle {
			return cursor, i > 0, h.settle - age
		}
		cursor = s.cursor
	}
	return cursor, len(h.seen) > 0, 0
}
