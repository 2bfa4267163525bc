package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
)

func (a *app) aliasCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "alias", Aliases: []string{"aliases"},
		Short:   "Say which versions of a function are reached by which name",
		Example: "  myelin alias set hello prod=3\n  myelin alias set hello prod=3:90,4:10 --sticky cookie=uid\n  myelin alias list hello\n  myelin alias history hello prod",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("cannot %s an alias%s", args[0], suggest(args[0], []string{"set", "get", "list", "delete", "history"}))
			}
			return usage("alias set, get, list, delete or history? usage: %s FUNCTION", c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.aliasSet(), a.aliasGet(), a.aliasList(), a.aliasDelete(), a.aliasHistory())
	return c
}

// moving are the flags of everything that moves an alias.
type moving struct {
	out     format
	note    string
	version string
	wait    time.Duration
}

func (m *moving) add(c *cobra.Command) {
	addFormat(c, &m.out, "text", "json", "yaml")
	c.Flags().StringVar(&m.note, "note", "", "why, for those who read its history")
	c.Flags().StringVar(&m.version, "if-version", "", "move it only if it is at this `resourceVersion`; 0: if there is none")
	c.Flags().DurationVar(&m.wait, "wait", time.Minute, "how long to wait until it leads there; 0: not at all")
}

func (m *moving) options() client.MoveOptions {
	return client.MoveOptions{Author: client.Author{By: me(), Note: m.note}, Version: m.version, Wait: m.wait}
}

// told says where an alias leads now.
func (a *app) told(m moving, al function.Alias, err error) error {
	if err != nil {
		return a.asked(err)
	}
	if m.out.machine() {
		err = a.write(m.out, al)
	} else {
		_, err = fmt.Fprintf(a.term.Out, "%s %s leads to %s\n", al.Spec.Function, al.Metadata.Name, leads(al))
	}
	if err == nil && m.wait > 0 && !client.Effective(al) {
		return fail(exitNotReady, fmt.Errorf("the move is stored and not in effect after %v: %s", m.wait, strings.Join(al.Status.Waiting, ", ")), "it takes effect when they are ready; take it back with: myelin rollback "+al.Spec.Function+" "+al.Metadata.Name)
	}
	return err
}

// leads says where an alias leads now, and where it is about to.
func leads(al function.Alias) string {
	if e := al.Status.Effective; e != nil && !client.Effective(al) {
		return weighted(e.Versions) + ", and soon to " + weighted(al.Spec.Versions)
	}
	return weighted(al.Spec.Versions)
}

func weighted(ws []function.Weighted) string {
	var out []string
	for _, w := range ws {
		text := w.Version
		if len(ws) > 1 {
			text += ":" + strconv.FormatFloat(w.Weight, 'f', -1, 64)
		}
		out = append(out, text)
	}
	return strings.Join(out, ",")
}

func (a *app) aliasSet() *cobra.Command {
	var m moving
	var sticky string
	var rules []string
	c := &cobra.Command{
		Use: "set FUNCTION ALIAS=VERSION[:WEIGHT],...", Short: "Move an alias, or make it",
		Long: "Moves an alias to a version, or to several by their weights in percent. It leads there once all of them are ready,\n" +
			"and until then where it led before; nothing is dropped. Stickiness and rules stay unless they are given.",
		Example: "  myelin alias set hello prod=3\n  myelin alias set hello prod=3:90,4:10 --sticky cookie=uid --note 'a tenth for 4'\n" +
			"  myelin alias set hello prod=3 --rule 4=header:X-Beta --rule 4=cookie:group=staff",
		ValidArgsFunction: a.completeFunctions,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("which alias of which function, to where? usage: %s", c.UseLine())
			}
			return a.setAlias(args[0], args[1], sticky, rules, m)
		},
	}
	m.add(c)
	c.Flags().StringVar(&sticky, "sticky", "", "what keeps a user at one version: cookie=`name`, header=name, query=name or none")
	c.Flags().StringArrayVar(&rules, "rule", nil, "who goes to a version whatever the weights: `version`=header:NAME[=VALUE], with cookie and claim likewise, or none")
	return c
}

func (a *app) setAlias(of, text, sticky string, rules []string, m moving) error {
	name, ws, err := parseMove(text)
	if err != nil {
		return err
	}
	al, err := a.client().Alias(a.ctx, of, name)
	if err != nil && !client.NotFound(err) {
		return a.asked(err)
	}
	al.Metadata.Name, al.Metadata.ResourceVersion, al.Status = name, "", function.AliasStatus{}
	al.Spec.Function, al.Spec.Versions = of, ws
	if sticky != "" {
		if al.Spec.Sticky, err = parseSticky(sticky); err != nil {
			return err
		}
	}
	if len(rules) > 0 {
		if al.Spec.Rules, err = parseRules(rules); err != nil {
			return err
		}
	}
	al, err = a.client().PutAlias(a.ctx, al, m.options())
	return a.told(m, al, err)
}

// parseMove reads prod=3 and prod=3:90,4:10.
func parseMove(text string) (name string, ws []function.Weighted, err error) {
	name, to, ok := strings.Cut(text, "=")
	if !ok || name == "" || to == "" {
		return "", nil, usage("%s: want ALIAS=VERSION or ALIAS=VERSION:WEIGHT,VERSION:WEIGHT, such as prod=3 or prod=3:90,4:10", text)
	}
	for part := range strings.SplitSeq(to, ",") {
		version, share, has := strings.Cut(part, ":")
		w := function.Weighted{Version: version}
		if n, err := function.ParseVersion(version); err != nil || version == "" || n < 0 {
			return "", nil, usage("%s: %q is not a version: want a number such as 3, or %s", text, version, function.Latest)
		}
		if has {
			if w.Weight, err = strconv.ParseFloat(strings.TrimSuffix(share, "%"), 64); err != nil {
				return "", nil, usage("%s: %q is not a weight in percent", text, share)
			}
		}
		ws = append(ws, w)
	}
	return name, ws, nil
}

func parseSticky(text string) (*function.Sticky, error) {
	kind, name, _ := strings.Cut(text, "=")
	switch {
	case text == "none":
		return nil, nil
	case name == "":
	case kind == "cookie":
		return &function.Sticky{Cookie: name}, nil
	case kind == "header":
		return &function.Sticky{Header: name}, nil
	case kind == "query":
		return &function.Sticky{Query: name}, nil
	}
	return nil, usage("--sticky %s: want cookie=NAME, header=NAME, query=NAME or none%s", text, suggest(kind, []string{"cookie", "header", "query", "none"}))
}

func parseRules(texts []string) (out []function.Rule, err error) {
	for _, text := range texts {
		if text == "none" {
			continue
		}
		version, what, _ := strings.Cut(text, "=")
		kind, name, _ := strings.Cut(what, ":")
		name, value, _ := strings.Cut(name, "=")
		r := function.Rule{Version: version, Value: value}
		switch kind {
		case "header":
			r.Header = name
		case "cookie":
			r.Cookie = name
		case "claim":
			r.Claim = name
		default:
			return nil, usage("--rule %s: want VERSION=header:NAME[=VALUE], with cookie and claim likewise%s", text, suggest(kind, []string{"header", "cookie", "claim"}))
		}
		out = append(out, r)
	}
	return out, nil
}

// two wants a function and its alias.
func two(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usage("which alias of which function? usage: %s", c.UseLine())
	}
	return nil
}

func (a *app) aliasGet() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "get FUNCTION ALIAS", Short: "Show an alias", Args: two, ValidArgsFunction: a.completeAliases,
		RunE: func(_ *cobra.Command, args []string) error {
			al, err := a.client().Alias(a.ctx, args[0], args[1])
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, al)
			}
			return terminal.Table(a.term.Out, aliasRows([]function.Alias{al}))
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) aliasList() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "list FUNCTION", Short: "List the aliases of a function", Args: oneName("function"), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.client().Aliases(a.ctx, args[0])
			switch {
			case err != nil:
				return a.asked(err)
			case out.machine():
				return a.write(out, all)
			case len(all) == 0:
				fmt.Fprintf(a.term.Err, "no aliases; make one with: myelin alias set %s prod=1\n", args[0])
				return nil
			}
			return terminal.Table(a.term.Out, aliasRows(all))
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func aliasRows(all []function.Alias) [][]string {
	rows := [][]string{{"ALIAS", "LEADS TO", "STICKY", "RULES", "MOVED", "BY", "RESOURCE VERSION", "WAITING FOR"}}
	for _, al := range all {
		sticky, moved := "", function.Move{}
		if s := al.Spec.Sticky; s != nil {
			sticky = "by " + or(s.Cookie, or(s.Header, s.Query))
		}
		if h := al.Status.History; len(h) > 0 {
			moved = h[0]
		}
		rows = append(rows, []string{al.Metadata.Name, leads(al), sticky, number(len(al.Spec.Rules)), ago(moved.At), moved.By, al.Metadata.ResourceVersion, strings.Join(al.Status.Waiting, ", ")})
	}
	return rows
}

func (a *app) aliasDelete() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "delete FUNCTION ALIAS...", Aliases: []string{"rm"}, Short: "Delete aliases", ValidArgsFunction: a.completeAliases,
		Long: "Deletes aliases. One that event mappings or routes follow is refused, and the error names them. With --force it goes\n" +
			"all the same: they wait until there is an alias of its name again.",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return two(c, args)
			}
			var errs []error
			for _, name := range args[1:] {
				err := a.client().DeleteAlias(a.ctx, args[0], name, force)
				if err == nil {
					fmt.Fprintf(a.term.Err, "deleted %s %s\n", args[0], name)
				}
				errs = append(errs, a.asked(err))
			}
			return errors.Join(errs...)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also if event mappings or routes follow it")
	return c
}

func (a *app) aliasHistory() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "history FUNCTION ALIAS", Short: "Show where an alias led, the newest first", Args: two, ValidArgsFunction: a.completeAliases,
		RunE: func(_ *cobra.Command, args []string) error {
			al, err := a.client().Alias(a.ctx, args[0], args[1])
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, al.Status.History)
			}
			rows := [][]string{{"MOVED", "TO", "BY", "NOTE"}}
			for _, m := range al.Status.History {
				rows = append(rows, []string{ago(m.At), weighted(m.Spec.Versions), m.By, m.Note})
			}
			return terminal.Table(a.term.Out, rows)
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) rollbackCommand() *cobra.Command {
	var m moving
	c := &cobra.Command{
		Use: "rollback FUNCTION ALIAS", Short: "Move an alias back to where it led before its last move",
		Long:    "Moves an alias back to where it led before its last move. A second rollback moves it forth again.",
		Example: "  myelin rollback hello prod --note 'errors in 4'",
		Args:    two, ValidArgsFunction: a.completeAliases,
		RunE: func(_ *cobra.Command, args []string) error {
			al, err := a.client().Rollback(a.ctx, args[0], args[1], m.options())
			return a.told(m, al, err)
		},
	}
	m.add(c)
	return c
}

// completeAliases completes a function, and then its aliases.
func (a *app) completeAliases(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeFunctions(c, args, typed)
	}
	var out []string
	if all, err := a.client().Aliases(a.ctx, args[0]); err == nil {
		for _, al := range all {
			out = append(out, al.Metadata.Name+"\t"+leads(al))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
