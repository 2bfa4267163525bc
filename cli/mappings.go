package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

func (a *app) mappingCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "mapping", Aliases: []string{"mappings", "map"},
		Short: "What brings events to functions: create, list, move, enable, disable",
		Long: "An event mapping binds a source (a trigger, or a path of the gateway) to a function: to an alias, to a\n" +
			"version, or to what was deployed last. The triggers of a function.yaml are mappings too, called FUNCTION-TRIGGER.",
		Example: "  myelin mapping create shop --function shop --alias prod --path /\n" +
			"  myelin mapping create shop-beta --function shop --alias beta --path /beta\n" +
			"  myelin mapping create orders --function bill --alias prod --kind kafka --url kafka:9092 --set 'topics=[\"orders\"]' --set consumerGroup=bill\n" +
			"  myelin mapping set bill-orders --alias prod\n  myelin mapping disable orders",
		Args: func(c *cobra.Command, _ []string) error {
			return usage("mapping create, get, list, set, enable, disable or delete? usage: %s NAME", c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.mappingWrite("create NAME", "Create an event mapping", true), a.mappingGet(), a.mappingList(), a.mappingWrite("set NAME", "Change where a mapping leads, or its source", false),
		a.mappingSwitch("enable", "Bring events again", false), a.mappingSwitch("disable", "Bring no more events; what was taken is finished", true), a.mappingDelete())
	return c
}

// mappingFlags are what create and set say of a mapping.
type mappingFlags struct {
	function, alias, version, kind, url, path, host, file string
	sets                                                  []string
	out                                                   format
}

func (a *app) mappingWrite(use, short string, fresh bool) *cobra.Command {
	var f mappingFlags
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := a.mapping(args[0], fresh, f)
			if err == nil {
				err = f.onto(&m, c.Flags().Changed)
			}
			if err != nil {
				return err
			}
			write := a.client().PutMapping
			if fresh {
				write = a.client().CreateMapping
			}
			if m, err = write(a.ctx, m); err != nil {
				return a.asked(err)
			}
			return a.showMapping(f.out, m)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.function, "function", "", "the `function`")
	fs.StringVar(&f.alias, "alias", "", "the `alias` that events follow")
	fs.StringVar(&f.version, "version", "", "the `version` that gets the events: a number, or $latest")
	fs.StringVar(&f.kind, "kind", "", "`kind` of the source: http (a path of the gateway), kafka, rabbitmq, cron, ...")
	fs.StringVar(&f.url, "url", "", "`address` of the source")
	fs.StringVar(&f.path, "path", "", "for http: the `path` at the gateway, such as /beta")
	fs.StringVar(&f.host, "host", "", "for http: the `host`'s name, such as shop.example.com")
	fs.StringArrayVar(&f.sets, "set", nil, "`field=value` of the source's attributes, or from spec. on of the mapping; may be given again")
	if fresh {
		fs.StringVarP(&f.file, "file", "f", "", "the mapping in YAML or JSON; - for the standard input")
	}
	addFormat(c, &f.out, "table", "json", "yaml")
	return c
}

// mapping is what a command begins with: nothing, a file, or what is there.
func (a *app) mapping(name string, fresh bool, f mappingFlags) (m function.Mapping, err error) {
	if !fresh {
		if m, err = a.client().Mapping(a.ctx, name); err != nil {
			return m, a.asked(err)
		}
		return m, nil
	}
	if f.file != "" {
		text, err := readFile(f.file)
		if err == nil {
			m, err = function.ParseMapping(f.file, text)
		}
		if err != nil {
			return m, misused(err)
		}
	}
	if m.Metadata.Name != "" && m.Metadata.Name != name {
		return m, usage("%s is the mapping %s, not %s", f.file, m.Metadata.Name, name)
	}
	m.Metadata.Name = name
	return m, nil
}

func readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(path)
}

// onto lays the flags over a mapping.
func (f mappingFlags) onto(m *function.Mapping, given func(string) bool) error {
	s := &m.Spec
	if given("alias") && given("version") && f.alias != "" && f.version != "" {
		return usage("--alias and --version: one of them")
	}
	for name, set := range map[string]func(){
		"function": func() { s.Function = f.function },
		"alias":    func() { s.Alias, s.Version = f.alias, "" },
		"version":  func() { s.Version, s.Alias = f.version, "" },
		"kind":     func() { s.Source.Kind = f.kind },
		"url":      func() { s.Source.URL = f.url },
	} {
		if given(name) && (name != "alias" && name != "version" || !given("alias") || !given("version")) {
			set()
		}
	}
	if s.Source.Kind == "" && (given("path") || given("host")) {
		s.Source.Kind = "http"
	}
	sets := slices.Clone(f.sets)
	for flag, value := range map[string]string{"path": f.path, "host": f.host} {
		if given(flag) {
			sets = append(sets, flag+"="+string(quoted(value)))
		}
	}
	for _, text := range sets {
		path, value, ok := strings.Cut(text, "=")
		if !ok || path == "" {
			return usage("--set %s: want field=value", text)
		}
		if !strings.HasPrefix(path, "spec.") && !strings.HasPrefix(path, "metadata.") {
			path = "spec.source.attributes." + path
		}
		if err := document.Set(m, path, value); err != nil {
			return misused(err)
		}
	}
	return nil
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // text
	return b
}

func (a *app) showMapping(out format, m function.Mapping) error {
	if out.machine() {
		return a.write(out, m)
	}
	return terminal.Table(a.term.Out, mappingRows([]function.Mapping{m}))
}

func mappingRows(ms []function.Mapping) [][]string {
	rows := [][]string{{"NAME", "KIND", "FUNCTION", "TARGET", "STATE", "EVENTS TO", "MESSAGE"}}
	for _, m := range ms {
		var to []string
		for _, t := range m.Status.Targets {
			to = append(to, fmt.Sprintf("%s %g%%", t.Version, t.Weight))
		}
		target := function.Latest
		switch s := m.Spec; {
		case s.Alias != "":
			target = "alias " + s.Alias
		case s.Version != "":
			target = s.Version
		}
		rows = append(rows, []string{m.Metadata.Name, m.Spec.Source.Kind, m.Spec.Function, target, m.Status.State, strings.Join(to, ", "), m.Status.Message})
	}
	return rows
}

func (a *app) mappingList() *cobra.Command {
	var out format
	var fn string
	c := &cobra.Command{
		Use: "list", Short: "List event mappings", Args: none,
		RunE: func(*cobra.Command, []string) error {
			var s client.Selection
			if fn != "" {
				s.Fields = "spec.function=" + fn
			}
			ms, err := a.client().Mappings(a.ctx, s)
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, append([]function.Mapping{}, ms...))
			}
			if len(ms) == 0 {
				fmt.Fprintln(a.term.Err, "no event mappings")
				return nil
			}
			return terminal.Table(a.term.Out, mappingRows(ms))
		},
	}
	c.Flags().StringVar(&fn, "function", "", "only those of this `function`")
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) mappingGet() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "get NAME", Short: "Show an event mapping, and how its triggers are", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := a.client().Mapping(a.ctx, args[0])
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, m)
			}
			if err := a.showMapping(out, m); err != nil || m.Spec.Source.Kind == "http" {
				return err
			}
			views, err := a.client().MappingTriggers(a.ctx, args[0])
			if err != nil || len(views) == 0 {
				return a.asked(err)
			}
			fmt.Fprintln(a.term.Out)
			return terminal.Table(a.term.Out, versionRows(views))
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

// versionRows are triggerRows with the versions.
func versionRows(views []api.TriggerView) [][]string {
	rows := triggerRows(views)
	for i := range rows {
		first := "VERSION"
		if i > 0 {
			first = views[i-1].Version
		}
		rows[i] = append([]string{first}, rows[i][2:]...)
	}
	return rows
}

func (a *app) mappingSwitch(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				m, err := a.client().Mapping(a.ctx, name)
				if err != nil {
					return a.asked(err)
				}
				m.Spec.Disabled = disabled
				if _, err := a.client().PutMapping(a.ctx, m); err != nil {
					return a.asked(err)
				}
				fmt.Fprintf(a.term.Err, "%sd %s\n", verb, name)
			}
			return nil
		},
	}
}

func (a *app) mappingDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME...", Short: "Delete event mappings", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if err := a.client().DeleteMapping(a.ctx, name); err != nil {
					return a.asked(err)
				}
				fmt.Fprintf(a.term.Err, "deleted %s\n", name)
			}
			return nil
		},
	}
}
