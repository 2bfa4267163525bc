package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/capture"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/quantity"
)

type capturing struct {
	spec tap.Spec
	last time.Duration
	size string
	out  format
}

func (a *app) captureCommand() *cobra.Command {
	var v capturing
	c := &cobra.Command{
		Use:   "capture NAME",
		Short: "Print events as they come to a function",
		Long: "Has the processors of a function, of all its versions, copy events as they come, at most so many for so long, and prints\n" +
			"each with what became of it. What looks secret is taken out before it leaves the processor. Nothing is captured unless\n" +
			"somebody asks; when the command ends, also by Ctrl-C, so does the capture, and nothing of it is kept.",
		Example: "  myelin capture orders --count 5 --for 30s\n  myelin capture orders --failed -o json > failed.json\n" +
			"  myelin capture orders --trigger web --redact-field iban\n  myelin invoke orders --event failed.json --to :2",
		Args:              oneName("function"),
		ValidArgsFunction: a.completeFunctions,
		RunE:              func(_ *cobra.Command, args []string) error { return a.capture(withoutNoun(args)[0], v) },
	}
	fs := c.Flags()
	fs.IntVar(&v.spec.Count, "count", tap.DefaultCount, "most `events`, up to 1000")
	fs.DurationVar(&v.last, "for", tap.DefaultTime, "longest `time`, up to 1h")
	fs.StringVar(&v.spec.Trigger, "trigger", "", "only events of the trigger of this `name`")
	fs.BoolVar(&v.spec.Failed, "failed", false, "only events that fail")
	fs.Float64Var(&v.spec.Fraction, "fraction", 1, "look at this `part` of the events only, by chance")
	fs.StringVar(&v.size, "event-size", "64Ki", "cut bodies behind so many `bytes`, up to 1Mi")
	fs.StringArrayVar(&v.spec.RedactHeaders, "redact-header", nil, "take out the values of this header, too (repeat)")
	fs.StringArrayVar(&v.spec.RedactFields, "redact-field", nil, "take out the values of this field of JSON, forms, queries and records, too (repeat)")
	fs.StringArrayVar(&v.spec.Keep, "keep", nil, "keep this header or field although its name sounds secret (repeat)")
	addFormat(c, &v.out, "table", "json", "yaml")
	return c
}

// captureLook is how often the control plane is asked for what came.
const captureLook = 300 * time.Millisecond

func (a *app) capture(name string, v capturing) error {
	v.spec.For = quantity.Duration(v.last)
	var err error
	if v.spec.EventSize, err = quantity.ParseSize(v.size); err != nil {
		return usage("--event-size: %v", err)
	}
	c := a.client()
	now, err := c.StartCapture(a.ctx, name, v.spec)
	if err != nil {
		return a.asked(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		defer cancel()
		_ = c.RemoveCapture(ctx, name, now.ID) // it ends by itself
	}()
	fmt.Fprintf(a.term.Err, "capturing at most %s of %s for %v; Ctrl-C ends it\n", plural(now.Spec.Count, "event"), name, now.Spec.For)
	return a.follow(name, v, now)
}

// follow prints what comes until the capture has ended.
func (a *app) follow(name string, v capturing, now capture.Capture) error {
	problem, last, id := "", int64(0), now.ID
	for first := true; ; first = false {
		for _, e := range now.Events {
			if err := a.captured(v.out, e, last == 0); err != nil {
				return err
			}
			last = e.Seq
		}
		if now.Problem != problem {
			if problem = now.Problem; problem != "" {
				fmt.Fprintln(a.term.Err, problem)
			}
		}
		if first && now.Processors == 0 && problem == "" {
			fmt.Fprintf(a.term.Err, "no processor of %s runs; what comes once one does is captured\n", name)
		}
		if now.State != capture.Running {
			fmt.Fprintf(a.term.Err, "%s captured of %d looked at, %d did not fit\n", plural(now.Captured, "event"), now.Seen, now.Dropped)
			return nil
		}
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(captureLook):
		}
		next, err := a.client().Capture(a.ctx, name, id, last)
		if a.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return a.asked(err)
		}
		now = next
	}
}

// captured prints an event: JSON as one line, so that a file of them is read
// event by event.
func (a *app) captured(out format, e tap.Event, first bool) error {
	if out.machine() {
		text, err := json.Marshal(e)
		if err == nil && out == "yaml" {
			if text, err = document.YAML(text); err == nil && !first {
				text = append([]byte("---\n"), text...)
			}
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.term.Out, "%s\n", text)
		return err
	}
	style, version := terminal.Green, "working copy"
	if e.Error != "" {
		style = terminal.Red
	}
	if e.FVersion != "" {
		version = "version " + e.FVersion
	}
	fmt.Fprintf(a.term.Out, "%s %s %s %s %s %.1f ms %s %s\n", e.At.Local().Format("15:04:05.000"), a.term.OnOut(style, strconv.Itoa(e.Status)), word(e.Trigger), e.Kind,
		word(whence(e)), e.Ms, a.term.OnOut(terminal.Dim, version), cut(strconv.Quote(string(e.Event.Body)), 100))
	if e.Error != "" {
		fmt.Fprintf(a.term.Out, "  %s\n", cut(strconv.Quote(e.Error), 200))
	}
	return nil
}

// word is a stranger's text that does nothing to a terminal.
func word(s string) string {
	q := strconv.Quote(s)
	if q == `"`+s+`"` && s != "" {
		return s
	}
	return q
}

// whence is where an event came from: what was asked for, or where it lay.
func whence(e tap.Event) string {
	switch {
	case e.Event.Method != "":
		return e.Event.Method + " " + or(e.Event.URL, e.Event.Path)
	case e.Class == "stream":
		return fmt.Sprintf("%s/%d@%d", e.From.Topic, e.From.Shard, e.From.Offset)
	}
	return or(e.From.Topic, e.Event.ID)
}
