package letter

import (
	"strconv"
	"strings"
	"time"
)

// Prefix begins the headers that a Record has of its letter.
const Prefix = "myelin-"

// Record is what is sent of a letter to a topic or queue, whose readers expect
// records like those that the source brought: the function's answer if it is
// about a success, else the event as it came. What there is to say of the
// letter itself is in headers.
type Record struct {
	ID          string // the same if the letter is sent again
	Key         []byte
	Body        []byte
	ContentType string
	Headers     []Header // the event's, and the letter's behind them
}

// Record makes the record of l. It aliases l. Headers of an event that was the
// record of a letter before are not carried on.
func (l *Letter) Record() Record {
	r := Record{ID: l.ID, Key: l.Event.Key, Body: l.Event.Body, ContentType: l.Event.ContentType}
	for _, h := range l.Event.Headers {
		if len(h.Key) < len(Prefix) || !strings.EqualFold(h.Key[:len(Prefix)], Prefix) {
			r.Headers = append(r.Headers, h)
		}
	}
	add := func(key, value string) {
		if value != "" {
			r.Headers = append(r.Headers, Header{Prefix + key, Bytes(value)})
		}
	}
	add("letter", l.ID)
	add("reason", l.Reason)
	add("function", l.Function)
	add("function-version", l.FVersion)
	add("trigger", l.Trigger)
	add("kind", l.Kind)
	add("error", l.Error)
	add("attempts", strconv.Itoa(l.Attempts))
	add("first", stamp(l.First))
	add("last", stamp(l.Last))
	add("topic", l.From.Topic)
	add("shard", strconv.Itoa(int(l.From.Shard)))
	add("offset", strconv.FormatInt(l.From.Offset, 10))
	add("event-id", l.Event.ID)
	add("event-time", stamp(l.Event.Time))
	if a := l.Answer; a != nil {
		r.Body, r.ContentType = a.Body, a.ContentType
		add("status", strconv.Itoa(a.Status))
	}
	return r
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
