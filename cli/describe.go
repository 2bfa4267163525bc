package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/function"
)

func (a *app) describeCommand() *cobra.Command {
	var out format
	var asyncapi bool
	c := &cobra.Command{
		Use:   "describe KIND NAME",
		Short: "Tell what is known of an object",
		Long: "Tells what is known of an object. Kinds: " + a.kindList() + "; without one it is a function.\n\n" +
			"With --asyncapi it writes what a function or a mapping receives and sends as an AsyncAPI 3.0 document,\n" +
			"for who shall send it something. There are no secrets in it.",
		Example:           "  myelin describe orders\n  myelin describe orders --asyncapi > orders.yaml\n  myelin describe mapping orders-kafka --asyncapi -o json",
		Args:              a.oneObject("describe"),
		ValidArgsFunction: a.completeObjects,
		RunE: func(_ *cobra.Command, args []string) error {
			k, names, _ := a.about(args, true)
			at, err := k.place(names[0])
			if err != nil {
				return err
			}
			if asyncapi {
				return a.describeSources(k, at, out)
			}
			o, err := a.client().Get(a.ctx, at, false)
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, o)
			}
			if k.page == nil {
				return a.write("yaml", o)
			}
			_, err = fmt.Fprint(a.term.Out, k.page(a, o))
			return err
		},
	}
	c.Flags().BoolVar(&asyncapi, "asyncapi", false, "write the AsyncAPI document of a function or mapping, as YAML or JSON")
	addFormat(c, &out, "text", "json", "yaml")
	return c
}

// describeSources writes the AsyncAPI document of an object.
func (a *app) describeSources(k kind, at string, out format) error {
	if k.name != function.Kind && k.name != function.MappingKind {
		return usage("--asyncapi is for functions and mappings: %s have no events of their own", k.many)
	}
	d, err := a.client().AsyncAPI(a.ctx, at)
	if err != nil {
		return a.asked(err)
	}
	if !out.machine() {
		out = "yaml"
	}
	return a.write(out, d)
}

// page is a function for a person to read.
func (a *app) page(f function.Function) string {
	var b strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s %s\n", name+":", value)
		}
	}
	m, s, st := f.Metadata, f.Spec, f.Status
	row("Name", m.Name)
	row("Namespace", m.Namespace)
	row("Project", m.Labels[projectLabel])
	row("Description", s.Description)
	row("State", string(st.State)+why(st))
	if !st.Changed.IsZero() {
		row("Changed", ago(st.Changed))
	}
	row("URL", st.URL)
	row("Address", st.Address)
	row("Runtime", s.Runtime)
	row("Handler", s.Handler)
	row("Artefact", st.Artefact)
	row("Labels", joined(m.Labels))
	row("Variables", variables(s.Env))
	if s.EventTimeout > 0 {
		row("Event timeout", s.EventTimeout.String())
	}
	row("Limits", limits(s.Resources))
	for _, name := range slices.Sorted(maps.Keys(s.Triggers)) {
		t := s.Triggers[name]
		row("Trigger", strings.TrimSpace(fmt.Sprintf("%s (%s) %s", name, t.Kind, t.URL)))
	}
	if len(st.Replicas) > 0 {
		fmt.Fprintln(&b, "\nReplicas:")
		rows := [][]string{{"  NAME", "STATE", "PID", "STARTED", "RESTARTS", "MESSAGE"}}
		for _, r := range st.Replicas {
			rows = append(rows, []string{"  " + r.Name, r.State, number(r.PID), ago(r.Started), fmt.Sprint(r.Restarts), lastWord(r)})
		}
		_ = terminal.Table(&b, rows) // a builder takes everything
	}
	scalingPage(&b, st.Scaling)
	if _, lines := because(st.Message, st.Logs); len(lines) > 0 {
		fmt.Fprintf(&b, "\nLast lines:\n%s\n", indent(strings.Join(lines, "\n")))
	}
	return b.String()
}

// lastWord is what is wrong with a replica, or why it was started again.
func lastWord(r function.Replica) string {
	if r.Message != "" || r.LastEnd == "" {
		return r.Message
	}
	return "started again: " + r.LastEnd
}

// scalingPage tells how many replicas are wanted, and how that came.
func scalingPage(b *strings.Builder, s *function.Scaling) {
	if s == nil {
		return
	}
	fmt.Fprintf(b, "\nScaling: %d wanted\n", s.Replicas)
	if s.Kept != "" {
		fmt.Fprintf(b, "  not to zero: %s\n", s.Kept)
	}
	for _, m := range s.Moves {
		fmt.Fprintf(b, "  %s: %d to %d, %s\n", ago(m.At), m.From, m.To, m.Why)
	}
	startLine(b, s.Start)
}

// startLine tells what the last start took, the phases that took longest first.
func startLine(b *strings.Builder, s *function.ScaleStart) {
	if s == nil {
		return
	}
	phases := slices.SortedFunc(maps.Keys(s.Phases), func(x, y string) int {
		return cmp.Or(cmp.Compare(s.Phases[y], s.Phases[x]), cmp.Compare(x, y))
	})
	for i, phase := range phases {
		phases[i] = fmt.Sprintf("%s %s", phase, millis(s.Phases[phase]))
	}
	fmt.Fprintf(b, "  last start: %s, %s, %s to the first answer: %s\n", ago(s.At), s.Way, millis(s.Total), strings.Join(phases, ", "))
}

func millis(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }

func joined(pairs map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		out = append(out, k+"="+pairs[k])
	}
	return strings.Join(out, ", ")
}

func variables(env []function.EnvVar) string {
	var out []string
	for _, v := range env {
		if len(v.ValueFrom) > 0 {
			out = append(out, v.Name+" (from elsewhere)")
			continue
		}
		out = append(out, v.Name+"="+v.Value)
	}
	return strings.Join(out, ", ")
}

func limits(r function.Resources) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(r.Limits)) {
		out = append(out, fmt.Sprintf("%s %v", k, r.Limits[k]))
	}
	return strings.Join(out, ", ")
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
