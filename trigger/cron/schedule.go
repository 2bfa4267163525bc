package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones for machines and images that have none

	"github.com/netresearch/go-cron"
)

// times tells the next tick after a moment; the zero time if there is none.
type times interface{ Next(time.Time) time.Time }

// every ticks each d from start.
type every struct {
	start time.Time
	d     time.Duration
}

func (e every) Next(t time.Time) time.Time {
	if t.Before(e.start) {
		return e.start.Add(e.d)
	}
	return e.start.Add((t.Sub(e.start)/e.d + 1) * e.d)
}

// wildHour is go-cron's mark of a field written as "*".
const wildHour = 1 << 63

const fields = cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
	cron.Descriptor | cron.DowOrDom

// parse reads a schedule. As in cron, a day matches if either of day of month
// and day of week does, unless one of them is "*". As in Nuclio, a "*" for the
// seconds means second 0.
func parse(spec, zone string) (times, error) {
	spec = strings.TrimSpace(spec)
	if name, rest, ok := cutZone(spec); ok {
		if zone != "" && zone != name {
			return nil, fmt.Errorf("time zone %q of the schedule differs from timezone %q", name, zone)
		}
		spec, zone = rest, name
	}
	if zone == "" {
		zone = "UTC"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", zone, err)
	}
	words := strings.Fields(strings.ToLower(spec)) // go-cron takes the H of THU for something else
	if len(words) == 0 {
		return nil, errors.New("no fields")
	}
	if len(words) == 6 && words[0] == "*" {
		words[0] = "0"
	}
	p, err := cron.TryNewParser(fields)
	if err != nil {
		return nil, err
	}
	s, err := p.Parse(strings.Join(words, " "))
	if err != nil {
		return nil, err
	}
	return inZone{s, loc}, nil
}

func cutZone(spec string) (name, rest string, ok bool) {
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if after, found := strings.CutPrefix(spec, prefix); found {
			name, rest, _ = strings.Cut(after, " ")
			return name, strings.TrimSpace(rest), true
		}
	}
	return "", spec, false
}

// inZone keeps a schedule in its zone, with the clock's changes as people
// expect: a job of fixed hours whose time is skipped runs the hour after, and
// one whose time comes twice runs the first time only. A job of every hour
// follows the hours that pass.
type inZone struct {
	cron.Schedule
	loc *time.Location
}

func (z inZone) Next(t time.Time) time.Time {
	next := z.Schedule.Next(t.In(z.loc))
	for z.fixed() && repeated(next) {
		next = z.Schedule.Next(next)
	}
	return next
}

func (z inZone) fixed() bool {
	s, ok := z.Schedule.(*cron.SpecSchedule)
	return ok && s.Hour&wildHour == 0
}

// repeated says that the clock has already shown t's reading earlier that day.
func repeated(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	_, now := t.Zone()
	_, before := t.Add(-3 * time.Hour).Zone()
	if before <= now {
		return false // the clock was not set back of late
	}
	back := time.Duration(before-now) * time.Second
	_, then := t.Add(-back).Zone()
	return then == before // that long ago it read the same
}
