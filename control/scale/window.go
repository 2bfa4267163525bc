package scale

import "time"

// Window is a time of the day, on some days of the week, in which there are at
// least so many replicas.
type Window struct {
	Min      int
	From, To time.Duration // since midnight; To at or before From: into the next day
	Days     [7]bool       // by [time.Weekday], on which it begins
	Zone     *time.Location
}

// floor is the least number of replicas at a time.
func (p Policy) floor(at time.Time) int {
	n := p.Min
	for i := range p.Schedule {
		if p.Schedule[i].covers(at) {
			n = max(n, p.Schedule[i].Min)
		}
	}
	return min(n, max(p.Max, p.Min))
}

func (w *Window) covers(at time.Time) bool {
	at = at.In(w.Zone)
	hour, minute, second := at.Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	today := w.Days[at.Weekday()]
	if w.From < w.To {
		return today && since >= w.From && since < w.To
	}
	yesterday := w.Days[(at.Weekday()+6)%7]
	return today && since >= w.From || yesterday && since < w.To
}
