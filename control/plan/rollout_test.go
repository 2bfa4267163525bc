package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

var began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// three is a rollout to version 2 by 5% for a minute, 25% for five, and all.
func three() function.RolloutSpec {
	r := function.Rollout{Spec: function.RolloutSpec{Function: "f", Version: "2", Steps: []function.RolloutStep{
		{Weight: 5, Pause: quantity.Duration(time.Minute)}, {Weight: 25, Pause: quantity.Duration(5 * time.Minute)}, {Weight: 100},
	}}}
	function.RolloutDefaults(&r)
	return r.Spec
}

func led(pairs ...any) (out []function.Weighted) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, function.Weighted{Version: fmt.Sprint(pairs[i]), Weight: float64(pairs[i+1].(int))})
	}
	return out
}

func aliasAt(ws []function.Weighted, waiting ...string) *function.Alias {
	return &function.Alias{Spec: function.AliasSpec{Function: "f", Versions: ws}, Status: function.AliasStatus{Waiting: waiting, History: []function.Move{{By: "ada"}}}}
}

func did(requests, errors, p99 int64) function.RolloutFigures {
	return function.RolloutFigures{Requests: requests, Errors: errors, P99: p99}
}

// at is a status in the midst of a step, which began at the beginning.
func at(state function.RolloutState, step int, to []function.Weighted) function.RolloutStatus {
	st := function.RolloutStatus{State: state, Step: step, From: led("1", 100), To: to, Moved: began.Add(-time.Second), Began: began}
	if pause := three().Steps[step-1].Pause.Std(); state == function.RolloutPaused {
		st.Left = quantity.Duration(pause)
	} else {
		st.Due = began.Add(pause)
	}
	return st
}

// What is next, by state, figures and time.
func TestRolloutDecides(t *testing.T) {
	first, second, all := led("1", 95, "2", 5), led("1", 75, "2", 25), led("2", 100)
	good := &RolloutFigures{New: did(100, 0, 1000), Old: did(2000, 10, 1000)}
	starting := at(function.RolloutProgressing, 1, first)
	starting.Began, starting.Due = time.Time{}, time.Time{}
	ending := at(function.RolloutProgressing, 3, all)
	ending.Began = time.Time{}
	for name, c := range map[string]struct {
		status  function.RolloutStatus
		alias   *function.Alias
		pending bool
		figures *RolloutFigures
		after   time.Duration
		state   function.RolloutState
		step    int
		move    []function.Weighted
		mark    bool
		message string // part of it
	}{
		"a version starts":            {starting, aliasAt(first, "version 2 is starting"), true, nil, time.Second, function.RolloutProgressing, 1, nil, false, "version 2 is starting"},
		"a version does not start":    {starting, aliasAt(first, "version 2 is down: no"), true, nil, 3 * time.Minute, function.RolloutRollingBack, 1, led("1", 100), false, "version 2 is down: no"},
		"a step comes into effect":    {starting, aliasAt(first), false, nil, time.Second, function.RolloutProgressing, 1, nil, true, ""},
		"a step goes on":              {at(function.RolloutProgressing, 1, first), aliasAt(first), false, good, 59 * time.Second, function.RolloutProgressing, 1, nil, false, "step 1 of 3 lasts until"},
		"a step passes":               {at(function.RolloutProgressing, 1, first), aliasAt(first), false, good, time.Minute, function.RolloutProgressing, 2, second, false, "step 2 of 3"},
		"too few requests":            {at(function.RolloutProgressing, 1, first), aliasAt(first), false, &RolloutFigures{New: did(99, 99, 0), Old: did(2000, 0, 0)}, time.Hour, function.RolloutProgressing, 1, nil, false, "had 99 of 100"},
		"events count":                {at(function.RolloutProgressing, 1, first), aliasAt(first), false, &RolloutFigures{New: function.RolloutFigures{Requests: 50, Events: 50}}, time.Hour, function.RolloutProgressing, 2, second, false, ""},
		"no figures":                  {at(function.RolloutProgressing, 1, first), aliasAt(first), false, nil, time.Hour, function.RolloutProgressing, 1, nil, false, "not known: no gateway"},
		"a version fails":             {at(function.RolloutProgressing, 2, second), aliasAt(second), false, &RolloutFigures{New: did(100, 20, 0), Old: did(300, 3, 0)}, time.Second, function.RolloutRollingBack, 2, led("1", 100), false, "20% of 100 failed, and 1% of what it replaces"},
		"a failing version is paused": {at(function.RolloutPaused, 2, second), aliasAt(second), false, &RolloutFigures{New: did(100, 20, 0), Old: did(300, 3, 0)}, time.Second, function.RolloutRollingBack, 2, led("1", 100), false, "20% of 100"},
		"a good version is paused":    {at(function.RolloutPaused, 2, second), aliasAt(second), false, good, time.Hour, function.RolloutPaused, 2, nil, false, "paused"},
		"the last step is in effect":  {ending, aliasAt(all), false, nil, time.Second, function.RolloutSucceeded, 3, nil, false, "all goes to version 2"},
		"somebody moved the alias":    {at(function.RolloutProgressing, 1, first), aliasAt(led("3", 100)), false, good, time.Hour, function.RolloutSuperseded, 1, nil, false, "moved to 3 by ada"},
		"somebody deleted the alias":  {at(function.RolloutPaused, 1, first), nil, false, good, time.Hour, function.RolloutSuperseded, 1, nil, false, "deleted"},
		"the way back is in effect":   {at(function.RolloutRollingBack, 1, led("1", 100)), aliasAt(led("1", 100)), false, nil, time.Hour, function.RolloutRolledBack, 1, nil, false, ""},
		"the way back is waited for":  {at(function.RolloutRollingBack, 1, led("1", 100)), aliasAt(led("1", 100), "version 1 is starting"), true, nil, time.Hour, function.RolloutRollingBack, 1, nil, false, ""},
		"a promoted one is in effect": {at(function.RolloutPromoting, 3, all), aliasAt(all), false, nil, time.Second, function.RolloutSucceeded, 3, nil, false, "promoted"},
		"one that has ended stays so": {at(function.RolloutSucceeded, 3, all), aliasAt(led("7", 100)), false, nil, time.Hour, function.RolloutSucceeded, 3, nil, false, ""},
		"weights in another order":    {at(function.RolloutProgressing, 1, first), aliasAt(led("2", 5, "1", 95)), false, good, time.Minute, function.RolloutProgressing, 2, second, false, ""},
		"old requests fail likewise":  {at(function.RolloutProgressing, 1, first), aliasAt(first), false, &RolloutFigures{New: did(100, 20, 0), Old: did(1000, 195, 0)}, time.Minute, function.RolloutProgressing, 2, second, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			see := Seen{Now: began.Add(c.after), Since: began, Alias: c.alias, Effective: !c.pending, Figures: c.figures, Blind: "no gateway"}
			got := Rollout(three(), c.status, see)
			if got.Status.State != c.state || got.Status.Step != c.step || got.Mark != c.mark || !strings.Contains(got.Status.Message, c.message) {
				t.Errorf("state %s, step %d, mark %v, %q", got.Status.State, got.Status.Step, got.Mark, got.Status.Message)
			}
			if fmt.Sprint(got.Move) != fmt.Sprint(c.move) {
				t.Errorf("moved to %v, want %v", got.Move, c.move)
			}
			if changed := got.Status.State != c.status.State || got.Status.Step != c.status.Step || got.Mark; changed != got.News || len(got.Status.Events) > 0 != changed {
				t.Errorf("news %v of %v", got.News, got.Status.Events)
			}
			if got.Status.State.Ended() != !got.Status.Ended.IsZero() && !c.status.State.Ended() {
				t.Errorf("ended at %v", got.Status.Ended)
			}
		})
	}
}

// From the start to the end, with a last step that is watched: those that are
// replaced are kept running until it is over.
func TestRolloutRunsItsCourse(t *testing.T) {
	spec := three()
	spec.Steps[2].Pause = quantity.Duration(time.Minute)
	from := led("1", 60, "3", 40)
	now := began
	next, err := RolloutStart(spec, from, "ada", now)
	if err != nil {
		t.Fatal(err)
	}
	var ways []string
	for range 100 {
		if next.Move != nil {
			ways = append(ways, weights(next.Move))
		}
		if next.Status.State.Ended() {
			break
		}
		now = now.Add(20 * time.Second)
		next = Rollout(spec, next.Status, Seen{Now: now, Since: began, Alias: aliasAt(next.Status.To), Effective: true, Figures: &RolloutFigures{New: did(100, 1, 1000), Old: did(100, 1, 1000)}})
	}
	if got, want := strings.Join(ways, "; "), "1 (57%), 3 (38%), 2 (5%); 1 (45%), 3 (30%), 2 (25%); 1 (0%), 3 (0%), 2 (100%); 2"; got != want {
		t.Errorf("moved to %s, want %s", got, want)
	}
	if st := next.Status; st.State != function.RolloutSucceeded || st.Weight != 100 || st.Baseline.Requests != 100 || st.Events[0].By != "ada" {
		t.Errorf("%+v", st)
	}
	if took := now.Sub(began); took < 7*time.Minute || took > 9*time.Minute {
		t.Errorf("it took %v", took)
	}
	if _, err := RolloutStart(spec, led("2", 100, "1", 0), "", now); err == nil {
		t.Error("a rollout to where the alias leads already")
	}
}

// What was not looked at is not held against a version: a control plane that was
// away gives it its time to start, and the clock of a step goes on.
func TestRolloutAfterAnAbsence(t *testing.T) {
	first := led("1", 95, "2", 5)
	st := at(function.RolloutProgressing, 1, first)
	st.Began = time.Time{}
	back := began.Add(time.Hour)
	see := Seen{Now: back.Add(time.Second), Since: back, Alias: aliasAt(first, "version 2 is starting")}
	if got := Rollout(three(), st, see); got.Status.State != function.RolloutProgressing {
		t.Errorf("%+v", got.Status)
	}
	st = at(function.RolloutProgressing, 1, first)
	see.Effective, see.Figures = true, &RolloutFigures{New: did(500, 0, 0), Old: did(500, 0, 0)}
	if got := Rollout(three(), st, see); got.Status.Step != 2 {
		t.Errorf("%+v", got.Status)
	}
}

func TestRolloutIsSteered(t *testing.T) {
	first := led("1", 95, "2", 5)
	see := Seen{Now: began.Add(20 * time.Second), Alias: aliasAt(first)}
	steer := func(st function.RolloutStatus, verb string) function.RolloutStatus {
		t.Helper()
		next, err := RolloutSteer(three(), st, see, verb, "bob", "because")
		if err != nil {
			t.Fatal(err)
		}
		if e := next.Status.Events; len(e) == 0 || e[len(e)-1].By != "bob" || !strings.Contains(e[len(e)-1].Message, "because") {
			t.Errorf("%s: %+v", verb, e)
		}
		return next.Status
	}
	paused := steer(at(function.RolloutProgressing, 1, first), RolloutPause)
	if paused.State != function.RolloutPaused || paused.Left.Std() != 40*time.Second || !paused.Due.IsZero() {
		t.Errorf("%+v", paused)
	}
	see.Now = began.Add(time.Hour)
	if st := steer(paused, RolloutResume); st.State != function.RolloutProgressing || !st.Due.Equal(see.Now.Add(40*time.Second)) {
		t.Errorf("%+v", st)
	}
	if st := steer(paused, RolloutPromote); st.State != function.RolloutPromoting || fmt.Sprint(st.To) != fmt.Sprint(led("2", 100)) {
		t.Errorf("%+v", st)
	}
	if st := steer(paused, RolloutAbort); st.State != function.RolloutRollingBack || fmt.Sprint(st.To) != fmt.Sprint(led("1", 100)) {
		t.Errorf("%+v", st)
	}
	for _, verb := range RolloutVerbs() {
		if _, err := RolloutSteer(three(), at(function.RolloutSucceeded, 3, first), see, verb, "", ""); err == nil {
			t.Errorf("%s of one that has ended", verb)
		}
	}
	see.Alias = aliasAt(led("9", 100))
	if _, err := RolloutSteer(three(), paused, see, RolloutAbort, "", ""); err == nil || !strings.Contains(err.Error(), "moved to 9 by ada") {
		t.Errorf("an alias that somebody else moved: %v", err)
	}
}

func TestCriteria(t *testing.T) {
	none := function.RolloutFigures{}
	for name, c := range map[string]struct {
		criteria       function.RolloutCriteria
		its, old, base function.RolloutFigures
		want           string
	}{
		"within":               {function.RolloutCriteria{MaxErrorRate: new(1.0)}, did(100, 1, 0), none, none, ""},
		"above":                {function.RolloutCriteria{MaxErrorRate: new(1.0)}, did(100, 2, 0), none, none, "2% of 100 failed, more than 1%"},
		"none allowed":         {function.RolloutCriteria{MaxErrorRate: new(0.0)}, did(1000, 1, 0), none, none, "0.1% of 1000 failed, more than 0%"},
		"none asked":           {function.RolloutCriteria{MaxErrorRate: new(0.0)}, none, none, none, ""},
		"nothing to compare":   {function.RolloutCriteria{MaxErrorRateIncrease: new(1.0)}, did(100, 50, 0), none, none, "50% of 100 failed, and 0% of what it replaces"},
		"the baseline":         {function.RolloutCriteria{MaxErrorRateIncrease: new(1.0)}, did(100, 50, 0), none, did(100, 1, 0), "50% of 100 failed"},
		"slower":               {function.RolloutCriteria{MaxP99Factor: new(1.5)}, did(100, 0, 31_000), did(100, 0, 20_000), none, "the 99th percentile is 31ms, and 20ms"},
		"not so much slower":   {function.RolloutCriteria{MaxP99Factor: new(1.5)}, did(100, 0, 29_000), did(100, 0, 20_000), none, ""},
		"slack":                {function.RolloutCriteria{MaxP99Factor: new(1.5), P99Slack: quantity.Duration(5 * time.Millisecond)}, did(100, 0, 5_900), did(100, 0, 1_000), none, ""},
		"events fail":          {function.RolloutCriteria{MaxErrorRate: new(1.0)}, function.RolloutFigures{Requests: 50, Events: 50, EventErrors: 10}, none, none, "10% of 100"},
		"an old one is faster": {function.RolloutCriteria{MaxP99Factor: new(1.0)}, did(100, 0, 1_000), did(100, 0, 20_000), none, ""},
	} {
		c.criteria.MinRequests = new(int64(100))
		if c.its == none {
			c.criteria.MinRequests = new(int64(0))
		}
		if got := Criteria(c.criteria, c.its, c.old, c.base); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
