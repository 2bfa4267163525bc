package function

import (
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// Scale says how the number of processors follows the load between minReplicas
// and maxReplicas.
type Scale struct {
	// Events at once that one processor is to have. Default: 70% of its workers, at most 100.
	Target float64 `json:"target,omitempty"`
	// Events waiting in streams and queues that one processor is for. Default 1000.
	Backlog int `json:"backlog,omitempty"`
	// Time over which the load is averaged. Default 30s.
	Window quantity.Duration `json:"window,omitempty"`
	// Time over which a burst is noticed, that is, twice what there is for. Default 1500ms.
	PanicWindow quantity.Duration `json:"panicWindow,omitempty"`
	// Time for which fewer processors must have been enough before one goes. Default 30s.
	CoolDown quantity.Duration `json:"coolDown,omitempty"`
	// Time without an event after which the last processor goes, if minReplicas is 0. Default: the longest windowSize of scaleToZero, or else 5m.
	ZeroAfter quantity.Duration `json:"zeroAfter,omitempty"`
	// Times of the day with more processors than minReplicas at least.
	Schedule []ScaleWindow `json:"schedule,omitempty"`
}

// ScaleWindow is a time of the day with a least number of processors.
type ScaleWindow struct {
	// Days of the week on which it begins, such as "mon-fri" or "sat,sun". Default: all.
	Days string `json:"days,omitempty"`
	// When it begins, such as "08:00".
	From string `json:"from"`
	// When it ends, such as "18:30" or "24:00". Not later than from: on the next day.
	To string `json:"to"`
	// Time zone by its IANA name. Default UTC.
	Timezone string `json:"timezone,omitempty"`
	// Fewest processors meanwhile.
	MinReplicas int `json:"minReplicas"`
}

// Follows reports whether the number of processors follows the load, and
// between which numbers.
func (s *Spec) Follows() (least, most int, follows bool) {
	if s.Replicas != nil {
		return *s.Replicas, *s.Replicas, false
	}
	least = 1
	if s.MinReplicas != nil {
		least = *s.MinReplicas
	}
	most = max(1, least)
	if s.MaxReplicas != nil {
		most = *s.MaxReplicas
	}
	return least, most, least < most
}

func (c *checker) scale(s *Spec) {
	z := s.Scale
	if z == nil {
		return
	}
	if _, _, follows := s.Follows(); !follows {
		c.Add("spec.scale", "has no meaning for a fixed number of replicas: set maxReplicas, or minReplicas to 0, and not replicas")
	}
	if z.Target < 0 {
		c.Add("spec.scale.target", "is %v, expected 0 or more", z.Target)
	}
	c.notNegative("spec.scale.backlog", &z.Backlog)
	c.span("spec.scale.window", z.Window)
	c.span("spec.scale.panicWindow", z.PanicWindow)
	c.span("spec.scale.coolDown", z.CoolDown)
	c.span("spec.scale.zeroAfter", z.ZeroAfter)
	for i, w := range z.Schedule {
		path := fmt.Sprintf("spec.scale.schedule[%d]", i)
		_, err := ParseDays(w.Days)
		c.told(document.Join(path, "days"), err)
		_, err = ParseClock(w.From)
		c.told(document.Join(path, "from"), err)
		_, err = ParseClock(w.To)
		c.told(document.Join(path, "to"), err)
		_, err = time.LoadLocation(w.Timezone)
		c.told(document.Join(path, "timezone"), err)
		c.notNegative(document.Join(path, "minReplicas"), &w.MinReplicas)
	}
}

func (c *checker) told(path string, err error) {
	if err != nil {
		c.Add(path, "%v", err)
	}
}

var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseDays reads days such as "mon-fri" or "sat,sun"; "" is every day.
func ParseDays(text string) (days [7]bool, err error) {
	if strings.TrimSpace(text) == "" {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		from, err := day(first)
		if err != nil {
			return days, err
		}
		to := from
		if ranged {
			if to, err = day(last); err != nil {
				return days, err
			}
		}
		for i := from; ; i = (i + 1) % 7 {
			days[i] = true
			if i == to {
				break
			}
		}
	}
	return days, nil
}

func day(name string) (int, error) {
	for i, n := range dayNames {
		if strings.EqualFold(strings.TrimSpace(name), n) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%q is no day: want mon, tue, wed, thu, fri, sat or sun", name)
}

// ParseClock reads a time of the day such as "08:30"; "24:00" is its end.
func ParseClock(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of the day: want one such as 08:30", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}
