package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
)

const projectLabel = function.ProjectLabel

type getting struct {
	kind      kind
	out       format
	watch     bool
	selection client.Selection
	name, of  string
}

func (a *app) getCommand() *cobra.Command {
	var g getting
	c := &cobra.Command{
		Use:               "get KIND [NAME]",
		Short:             "List objects, or show one",
		Long:              "Lists the objects of a kind, or shows one of them. Kinds: " + a.kindList() + ".",
		Example:           "  myelin get functions\n  myelin get function hello -o yaml\n  myelin get fn -w\n  myelin get functions --project shop -l team=core\n  myelin get projects\n  myelin get aliases\n  myelin get versions --function hello",
		ValidArgsFunction: a.completeObjects,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("get what? %s: myelin get functions", a.kindList())
			}
			k, names, said := a.about(args, false)
			switch {
			case !said && len(args) > 1:
				return a.noKind("get", args[0])
			case len(names) > 1:
				return usage("one %s at a time: unexpected %q", k.one, names[1])
			}
			g.kind = k
			if len(names) == 1 {
				g.name = names[0]
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return a.get(g) },
	}
	addFormat(c, &g.out, "table", "wide", "json", "yaml")
	c.Flags().BoolVarP(&g.watch, "watch", "w", false, "go on showing what changes")
	addSelection(c, &g.selection)
	c.Flags().StringVar(&g.of, "function", "", "of versions, aliases, rollouts and jobs, only those of this `function`")
	_ = c.RegisterFlagCompletionFunc("function", a.completeFunctions) // the flag is there
	return c
}

// addSelection defines the flags that choose objects.
func addSelection(c *cobra.Command, s *client.Selection) {
	c.Flags().StringVarP(&s.Labels, "labels", "l", "", "only objects with these labels, as `name=value,...`; also name!=value, name and !name")
	c.Flags().StringVar(&s.Fields, "fields", "", "only objects with these fields, as `path=value,...`, such as status.state=ready")
	c.Flags().StringVar(&s.Project, "project", "", "only objects of this `project`")
}

func (a *app) kindList() string {
	var names []string
	for _, k := range a.kinds() {
		names = append(names, k.many)
	}
	return strings.Join(names, ", ")
}

func (a *app) get(g getting) error {
	if g.watch {
		return a.getWatch(g)
	}
	if g.name != "" {
		at, err := g.kind.place(g.name)
		if err != nil {
			return err
		}
		o, err := a.client().Get(a.ctx, at, false)
		if err != nil {
			return a.asked(a.perhapsKind(err, g))
		}
		if g.out.machine() {
			return a.write(g.out, o)
		}
		return a.table(g, []json.RawMessage{o})
	}
	all, err := a.list(a.ctx, a.client(), g.kind, g.selection, g.of)
	if err != nil {
		return a.asked(err)
	}
	if g.out.machine() {
		if all == nil {
			all = []json.RawMessage{}
		}
		return a.write(g.out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(a.term.Err, strings.TrimSuffix("no "+g.kind.many+"; "+g.kind.none, "; "))
		return nil
	}
	return a.table(g, all)
}

// perhapsKind suggests the kind that may have been meant, where a word was
// taken for the name of a function.
func (a *app) perhapsKind(err error, g getting) error {
	if !client.NotFound(err) || g.kind.name != function.Kind {
		return err
	}
	if hint := suggest(g.name, a.kindNames()); hint != "" {
		return fail(exitUsage, fmt.Errorf("%s is neither a function nor a kind%s", g.name, hint), "")
	}
	return err
}

var (
	columns     = []string{"NAME", "STATE", "REPLICAS", "RUNTIME", "URL"}
	wideColumns = []string{"NAMESPACE", "PROJECT", "ADDRESS", "ARTEFACT", "LABELS", "MESSAGE"}
)

func (g getting) head() []string {
	if g.out == "wide" {
		return slices.Concat(g.kind.columns, g.kind.wide)
	}
	return g.kind.columns
}

func (a *app) table(g getting, objects []json.RawMessage) error {
	rows := [][]string{g.head()}
	for _, o := range objects {
		rows = append(rows, g.kind.row(o, g.out == "wide"))
	}
	return terminal.Table(a.term.Out, rows)
}

func row(out format, f function.Function) []string {
	m, s := f.Metadata, f.Status
	cells := []string{m.Name, string(s.State), replicas(s), f.Spec.Runtime, urlOf(s)}
	if out != "wide" {
		return cells
	}
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
		if k != projectLabel {
			labels = append(labels, k+"="+m.Labels[k])
		}
	}
	return append(cells, m.Namespace, m.Labels[projectLabel], s.Address, short(s.Artefact), strings.Join(labels, ","), s.Message)
}

// replicas is ready/all.
func replicas(s function.Status) string {
	ready := 0
	for _, r := range s.Replicas {
		if r.State == "ready" {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(s.Replicas))
}

// getWatch shows each object as it is and whenever it changes.
func (a *app) getWatch(g getting) error {
	place := g.kind.many
	if g.kind.ofFunction {
		of, own, _ := strings.Cut(g.name, ":")
		if g.of = or(g.of, of); g.of == "" {
			return usage("--watch: say whose %s with --function NAME", g.kind.many)
		}
		place, g.name = g.kind.under(g.of), own
	}
	if !g.out.machine() {
		if err := a.line(g.head()); err != nil {
			return err
		}
	}
	from := ""
	for {
		err := a.client().WatchObjects(a.ctx, place, from, g.selection, func(e client.ObjectEvent) error {
			from = or(e.Revision, from)
			if e.Kind == api.EventSynced || g.name != "" && read[anyObject](e.Object).Metadata.Name != g.name {
				return nil
			}
			if g.out.machine() {
				return a.changed(g.out, e.Object)
			}
			cells := g.kind.row(e.Object, g.out == "wide")
			if e.Kind == api.EventDelete && g.kind.name != function.Kind && len(cells) > 1 {
				cells[1] = "deleted"
			}
			return a.line(cells)
		})
		switch {
		case a.ctx.Err() != nil:
			return nil
		case errors.Is(err, client.ErrReset):
			from = ""
		default:
			return a.asked(err)
		}
	}
}

// anyObject is what objects say of who they are.
type anyObject struct {
	Metadata function.Metadata `json:"metadata"`
	Spec     struct {
		Function string `json:"function"`
	} `json:"spec"`
	Function string      `json:"function"` // of a version
	Version  json.Number `json:"version"`
}

// changed writes one object: a line of JSON, or a document of YAML.
func (a *app) changed(out format, o json.RawMessage) error {
	if out == "yaml" {
		fmt.Fprintln(a.term.Out, "---")
		return a.write(out, o)
	}
	return json.NewEncoder(a.term.Out).Encode(o)
}

// line writes a row of a table whose other rows are not known.
func (a *app) line(cells []string) error {
	widths := []int{24, 22, 10, 12, 0}
	var b strings.Builder
	for i, c := range cells {
		width := 16
		if i < len(widths) {
			width = widths[i]
		}
		fmt.Fprintf(&b, "%-*s ", width, or(c, "-"))
	}
	_, err := fmt.Fprintln(a.term.Out, strings.TrimRight(b.String(), " "))
	return err
}
