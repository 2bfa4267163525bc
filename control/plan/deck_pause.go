package plan

import (
	"strings"
	"time"

	"github.com/myelin-run/myelin/function"
)

const (
	firstWait = 50 * time.Millisecond
	mostWait  = 2 * time.Second
)

// notRunPause is how long an item waits that could not be run, which says
// nothing about the item.
func notRunPause(waits int) time.Duration { return doubled(firstWait, waits-1, mostWait) }

// backoff is how long an item waits that has failed so many times.
func backoff(r function.JobRetry, attempts int) time.Duration {
	return doubled(r.Backoff.Std(), attempts-1, r.MaxBackoff.Std())
}

func doubled(d time.Duration, times int, most time.Duration) time.Duration {
	for range times {
		if d >= most {
			break
		}
		d *= 2
	}
	return min(d, most)
}

// spread makes a pause up to a quarter shorter or longer, by the item, so that
// those that failed together are not all tried together.
func spread(d time.Duration, number int64) time.Duration {
	const parts = 64
	return d*3/4 + d/2*time.Duration((number*37)%parts)/parts
}

// brief is the beginning of a text, as far as it is UTF-8.
func brief(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most+4)], "\ufffd")
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xc0 == 0x80 {
		most--
	}
	return text[:most]
}
