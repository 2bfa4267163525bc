package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
)

// patience is how long a control plane that was followed may be away.
const patience = 30 * time.Second

// followRollout shows the progress of a rollout until it ends. A control plane
// that is replaced meanwhile is waited for.
func (a *app) followRollout(r function.Rollout) (function.Rollout, error) {
	p := a.term.Progress()
	defer p.Close()
	last, heard := r, time.Now()
	for {
		err := a.client().WatchRollout(a.ctx, r.Spec.Function, r.Metadata.Name, func(now function.Rollout) error {
			heard = time.Now()
			if !now.Status.Started.Equal(r.Status.Started) {
				return fail(exitConflict, fmt.Errorf("another rollout of %s %s was started meanwhile", r.Spec.Function, r.Metadata.Name), "")
			}
			for _, e := range newer(now.Status.Events, last.Status.Events) {
				p.Note("%s", eventText(e))
			}
			last = now
			p.Step(progress(now))
			if now.Status.State.Ended() {
				return errSettled
			}
			return nil
		})
		var own *failure
		var said *problem.Problem
		switch {
		case errors.Is(err, errSettled):
			return last, nil
		case errors.As(err, &own), errors.As(err, &said), a.ctx.Err() != nil, time.Since(heard) > patience:
			return last, a.asked(err)
		}
		select {
		case <-a.ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// newer are the events that came after those that were known.
func newer(now, known []function.RolloutEvent) []function.RolloutEvent {
	if len(known) == 0 {
		return now
	}
	last := known[len(known)-1]
	for i := len(now) - 1; i >= 0; i-- {
		if now[i].At.Equal(last.At) && now[i].Message == last.Message {
			return now[i+1:]
		}
	}
	return now
}

// progress is how far a rollout is, in a line.
func progress(r function.Rollout) string {
	st := r.Status
	text := string(st.State)
	if !st.State.Ended() && st.State != function.RolloutRollingBack {
		text += fmt.Sprintf(", step %d of %d (%g%%)", st.Step, len(r.Spec.Steps), st.Weight)
	}
	if st.Message != "" {
		text += ": " + st.Message
	}
	if st.New.Total() > 0 && !st.State.Ended() {
		text += "; " + figuresText(st.New)
	}
	return text
}

func eventText(e function.RolloutEvent) string {
	text := e.Message
	if e.Step > 0 {
		text = fmt.Sprintf("step %d: %s", e.Step, e.Message)
	}
	if e.By != "" {
		text += " (" + e.By + ")"
	}
	return text
}

// figuresText are figures in a few words.
func figuresText(f function.RolloutFigures) string {
	text := fmt.Sprintf("%d requests", f.Requests)
	if f.Events > 0 {
		text += fmt.Sprintf(", %d events", f.Events)
	}
	text += fmt.Sprintf(", %.2f%% errors", f.ErrorRate())
	if f.Requests > 0 {
		text += ", p99 " + (time.Duration(f.P99) * time.Microsecond).Round(10*time.Microsecond).String()
	}
	return text
}

var rolloutColumns = []string{"NAME", "TO VERSION", "STATE", "STEP", "WEIGHT", "REQUESTS", "ERRORS", "STARTED", "MESSAGE"}

func rolloutRow(r function.Rollout) []string {
	st := r.Status
	return []string{r.Spec.Function + ":" + r.Metadata.Name, r.Spec.Version, string(st.State), fmt.Sprintf("%d of %d", st.Step, len(r.Spec.Steps)), fmt.Sprintf("%g%%", st.Weight),
		fmt.Sprint(st.New.Total()), fmt.Sprintf("%.2f%%", st.New.ErrorRate()), ago(st.Started), st.Message}
}

// rolloutPage is a rollout for a person to read, with all that happened.
func rolloutPage(r function.Rollout) string {
	var b strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s %s\n", name+":", value)
		}
	}
	st := r.Status
	row("Function", r.Spec.Function)
	row("Alias", r.Metadata.Name)
	row("Namespace", r.Metadata.Namespace)
	row("To version", r.Spec.Version)
	row("From", shares(st.From))
	row("State", string(st.State))
	row("Message", st.Message)
	var steps []string
	for _, s := range r.Spec.Steps {
		text := fmt.Sprintf("%g%%", s.Weight)
		if s.Pause > 0 {
			text += " " + s.Pause.String()
		}
		steps = append(steps, text)
	}
	row("Steps", strings.Join(steps, ", "))
	row("Present step", fmt.Sprintf("%d (%g%%)", st.Step, st.Weight))
	row("Criteria", criteriaText(r.Spec.Criteria))
	row("Started", strings.TrimSpace(ago(st.Started)+" "+by(st.By)))
	row("Ended", ago(st.Ended))
	row("New", figuresText(st.New))
	row("Old", figuresText(st.Old))
	fmt.Fprintln(&b, "\nEvents:")
	rows := [][]string{{"  WHEN", "STEP", "WHAT", "BY", "NEW", "OLD"}}
	for _, e := range st.Events {
		cells := []string{"  " + e.At.UTC().Format("2006-01-02 15:04:05"), number(e.Step), e.Message, e.By, "", ""}
		if e.New != nil && e.Old != nil {
			cells[4], cells[5] = figuresText(*e.New), figuresText(*e.Old)
		}
		rows = append(rows, cells)
	}
	_ = terminal.Table(&b, rows) // a builder takes everything
	return b.String()
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return "by " + who
}

func criteriaText(c function.RolloutCriteria) string {
	var out []string
	if c.MaxErrorRate != nil {
		out = append(out, fmt.Sprintf("at most %g%% errors", *c.MaxErrorRate))
	}
	if c.MaxErrorRateIncrease != nil {
		out = append(out, fmt.Sprintf("at most %g points more errors", *c.MaxErrorRateIncrease))
	}
	if c.MaxP99Factor != nil {
		out = append(out, fmt.Sprintf("p99 at most %g times (or %s more)", *c.MaxP99Factor, c.P99Slack))
	}
	if c.MinRequests != nil {
		out = append(out, fmt.Sprintf("of %d requests at least", *c.MinRequests))
	}
	return strings.Join(out, ", ")
}
