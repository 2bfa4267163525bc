package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/manifest"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/apply"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// applying is what `myelin apply` was told.
type applying struct {
	files                    []string
	recursive, prune, dryRun bool
	force, noWait            bool
	owner                    string
	out                      format
}

// outcome is what became of one object.
type outcome struct {
	Kind      string         `json:"kind"`
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Action    string         `json:"action"` // create, update, none, delete
	Changes   []apply.Change `json:"changes,omitempty"`
}

const actionDelete = "delete"

func (a *app) applyCommand() *cobra.Command {
	var o applying
	c := &cobra.Command{
		Use:   "apply -f PATH",
		Short: "Make objects what documents declare",
		Long: "Reads documents of any kind (YAML or JSON, several in a file) and makes the objects what they declare, in\n" +
			"the order in which they need each other. Functions are built from their sources. Fields that were declared\n" +
			"before and are not any more are removed, fields that others set stay; applying again changes nothing.\n" +
			"With --dry-run nothing is changed, and the exit code is 2 if something would be; mistakes are 1 then.",
		Example: "  myelin apply -f shop/\n  myelin apply -f shop/ --prune --dry-run\n  cat shop.yaml | myelin apply -f -",
		Args:    none,
	}
	o.flags(c)
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "say only what would be")
	c.Flags().BoolVar(&o.noWait, "no-wait", false, "do not wait until functions serve")
	c.RunE = func(*cobra.Command, []string) error { return a.apply(o) }
	return c
}

func (a *app) diffCommand() *cobra.Command {
	o := applying{dryRun: true}
	c := &cobra.Command{
		Use:     "diff -f PATH",
		Short:   "Tell how objects differ from what documents declare",
		Long:    "Tells what `myelin apply` would change, and changes nothing. The exit code is 2 if there is a difference, 1 for\nmistakes.",
		Example: "  myelin diff -f shop/",
		Args:    none,
		RunE:    func(*cobra.Command, []string) error { return a.apply(o) },
	}
	o.flags(c)
	return c
}

func (o *applying) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVarP(&o.files, "file", "f", nil, "`path` of a file or a directory, - for the standard input (repeat)")
	fs.BoolVarP(&o.recursive, "recursive", "R", false, "read directories within directories too")
	fs.BoolVar(&o.prune, "prune", false, "delete what was applied with the same set and is not declared any more")
	fs.StringVar(&o.owner, "set", "", "`name` of the set that the documents make (default: that of the directory or file)")
	fs.BoolVar(&o.force, "force", false, "take over objects of other sets")
	addFormat(c, &o.out, "text", "json", "yaml")
}

func (a *app) apply(o applying) error {
	err := a.applyAll(o)
	if o.dryRun && a.codeOf(err) == exitUsage && !errors.Is(err, errDiffers) {
		return fail(exitFailed, err, "") // 2 says that there are differences
	}
	return err
}

var errDiffers = errors.New("there are differences")

func (a *app) applyAll(o applying) error {
	if len(o.files) == 0 {
		return usage("apply what? give -f PATH")
	}
	owner, err := o.set()
	if err != nil {
		return err
	}
	o.owner = owner
	docs, err := manifest.Read(manifest.Options{Paths: o.files, Recursive: o.recursive, Input: a.term.In, Namespace: a.namespace})
	if err != nil {
		return misused(err)
	}
	if _, err := a.client().Version(a.ctx); err != nil {
		return a.asked(err)
	}
	var done []outcome
	var errs []error
	for _, d := range docs {
		got, err := a.applyOne(o, d)
		if err != nil {
			errs = append(errs, a.interrupted(err, "interrupted; what is told above was applied, apply again for the rest"))
			if a.ctx.Err() != nil {
				break
			}
			continue
		}
		done = append(done, got)
		a.tell(o, got)
	}
	if o.prune && len(errs) == 0 {
		gone, err := a.prune(o, docs)
		done, errs = append(done, gone...), append(errs, err)
	}
	if err := joinedMistakes(errs); err != nil {
		return err
	}
	return a.summary(o, done)
}

// joinedMistakes makes one error of several, mistakes with their places first.
func joinedMistakes(errs []error) error {
	var all document.Errors
	for _, err := range errs {
		var es document.Errors
		if err == nil {
			continue
		}
		if !errors.As(err, &es) || err.Error() != es.Error() {
			return errors.Join(errs...)
		}
		all = append(all, es...)
	}
	return all.Err()
}

var setForm = regexp.MustCompile(`[^a-z0-9]+`)

// set is the name under which what is applied is remembered.
func (o applying) set() (string, error) {
	if o.owner != "" {
		if !function.IsLabel(o.owner) {
			return "", usage("--set %s: want a name of a-z, 0-9 and -, at most 63", o.owner)
		}
		return o.owner, nil
	}
	path := o.files[0]
	if len(o.files) > 1 || path == "-" {
		if o.prune {
			return "", usage("--prune: name the set with --set NAME: only what an earlier apply of the same set made is deleted")
		}
		return "", nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	name = strings.Trim(setForm.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return strings.Trim(name[:min(63, len(name))], "-"), nil
}

// applyOne applies one document.
func (a *app) applyOne(o applying, d *manifest.Doc) (outcome, error) {
	p := a.term.Progress()
	defer p.Close()
	k, ok := a.kindNamed(d.Kind)
	if !ok {
		return outcome{}, d.Errorf("kind", "%s cannot be applied yet", d.Kind.Name)
	}
	declared := d.JSON
	if d.Kind.Name == function.Kind {
		built, err := a.source(d, p)
		if err != nil {
			return outcome{}, err
		}
		declared = built
	}
	p.Step("apply " + k.one + " " + d.Metadata.Name)
	at, err := k.place(d.Title())
	if err != nil {
		return outcome{}, d.Errorf("spec.function", "is required")
	}
	c := a.clientFor(d.Metadata.Namespace)
	got, err := c.Apply(a.ctx, at, declared, client.ApplyOptions{Owner: o.owner, DryRun: o.dryRun, Force: o.force})
	if err != nil {
		return outcome{}, a.placed(d, err)
	}
	out := outcome{Kind: d.Kind.Name, Namespace: or(d.Metadata.Namespace, api.DefaultNamespace), Name: d.Title(), Action: got.Action, Changes: got.Changes}
	if o.dryRun || o.noWait || got.Action == api.ActionNone || d.Kind.Name != function.Kind {
		return out, nil
	}
	_, err = a.awaitReady(c, read[function.Function](got.Object), p)
	return out, err
}

// placed gives what the API has against a document its lines.
func (a *app) placed(d *manifest.Doc, err error) error {
	var p *problem.Problem
	if !errors.As(err, &p) {
		return a.asked(err)
	}
	if len(p.Errors) == 0 || p.Errors[0].File != "" {
		if p.Status == 409 || p.Status == 422 || p.Status == 400 {
			return a.asked(problem.New(p.Status, fmt.Sprintf("%s:%d: %s", d.File, d.Line, p.Detail)))
		}
		return a.asked(err)
	}
	var es document.Errors
	for _, f := range p.Errors {
		es = append(es, &document.Error{Path: f.Path, Msg: f.Detail})
	}
	return d.Locate(es)
}

// prune deletes what the set has and the documents have not, in the namespaces
// that they are about.
func (a *app) prune(o applying, docs []*manifest.Doc) (done []outcome, err error) {
	declared, spaces := map[string]bool{}, []string{or(a.namespace, api.DefaultNamespace)}
	for _, d := range docs {
		ns := or(d.Metadata.Namespace, api.DefaultNamespace)
		declared[d.Kind.Name+" "+ns+"/"+d.Title()] = true
		if !slices.Contains(spaces, ns) {
			spaces = append(spaces, ns)
		}
	}
	kinds := a.kinds()
	slices.SortStableFunc(kinds, func(x, y kind) int { return manifest.Order(y.name) - manifest.Order(x.name) })
	var errs []error
	for _, ns := range spaces {
		for _, k := range kinds {
			if manifest.Order(k.name) == 0 {
				continue // it is not applied
			}
			objects, err := a.list(a.ctx, a.clientFor(ns), k, client.Selection{Labels: api.OwnerLabel + "=" + o.owner}, "")
			if err != nil {
				errs = append(errs, a.asked(err))
				continue
			}
			for _, object := range objects {
				name := k.title(object)
				if declared[k.name+" "+ns+"/"+name] {
					continue
				}
				if !o.dryRun {
					at, err := k.place(name)
					if err == nil {
						err = a.clientFor(ns).Remove(a.ctx, at, false)
					}
					if err != nil {
						errs = append(errs, a.asked(err))
						continue
					}
				}
				got := outcome{Kind: k.name, Namespace: ns, Name: name, Action: actionDelete}
				a.tell(o, got)
				done = append(done, got)
			}
		}
	}
	return done, errors.Join(errs...)
}

// summary says how many of each there were.
func (a *app) summary(o applying, done []outcome) error {
	count := map[string]int{}
	for _, d := range done {
		count[d.Action]++
	}
	differs := len(done) > count[api.ActionNone]
	if o.out.machine() {
		if done == nil {
			done = []outcome{}
		}
		if err := a.write(o.out, done); err != nil {
			return err
		}
	} else {
		words := []string{"created", "changed", "deleted"}
		if o.dryRun {
			words = []string{"to create", "to change", "to delete"}
		}
		fmt.Fprintf(a.term.Err, "%d %s, %d %s, %d %s, %d unchanged\n", count[api.ActionCreate], words[0], count[api.ActionUpdate], words[1], count[actionDelete], words[2], count[api.ActionNone])
	}
	if o.dryRun && differs {
		return &failure{code: exitDiffers, err: errDiffers}
	}
	return nil
}

// tell shows what became of one object, as a diff.
func (a *app) tell(o applying, got outcome) {
	if o.out.machine() {
		return
	}
	name := got.Kind + " " + got.Namespace + "/" + got.Name
	t := a.term
	switch got.Action {
	case api.ActionNone:
		fmt.Fprintln(t.Out, t.OnOut(terminal.Dim, "  "+name))
	case api.ActionCreate:
		fmt.Fprintln(t.Out, t.OnOut(terminal.Green, "+ "+name))
	case actionDelete:
		fmt.Fprintln(t.Out, t.OnOut(terminal.Red, "- "+name))
		return
	default:
		fmt.Fprintln(t.Out, t.OnOut(terminal.Yellow, "~ "+name))
	}
	for _, c := range got.Changes {
		if got.Action == api.ActionCreate && (c.Path == "apiVersion" || c.Path == "kind") {
			continue
		}
		a.tellChange(c)
	}
}

func (a *app) tellChange(c apply.Change) {
	t := a.term
	if c.From == nil || c.To == nil { // new or gone: each field within it on its own line
		for _, l := range lines(c.Path, c.From, c.To) {
			mark, colour := "+", terminal.Green
			if c.To == nil {
				mark, colour = "-", terminal.Red
			}
			fmt.Fprintln(t.Out, t.OnOut(colour, "    "+mark+" "+l))
		}
		return
	}
	from, to := shown(c.From), shown(c.To)
	if from == to {
		to += " (another one)" // a secret
	}
	fmt.Fprintf(t.Out, "    %s %s: %s -> %s\n", t.OnOut(terminal.Yellow, "~"), c.Path, t.OnOut(terminal.Red, from), t.OnOut(terminal.Green, to))
}

// lines are the fields of a tree, each with its path.
func lines(path string, from, to any) (out []string) {
	tree := to
	if tree == nil {
		tree = from
	}
	for _, c := range apply.Diff(map[string]any{}, tree) {
		if fields, ok := c.To.(map[string]any); ok && len(fields) > 0 {
			out = append(out, lines(extend(path, c.Path), nil, fields)...)
		} else {
			out = append(out, extend(path, c.Path)+": "+shown(c.To))
		}
	}
	if _, ok := tree.(map[string]any); !ok {
		return []string{path + ": " + shown(tree)}
	}
	return out
}

// extend is the path of something within path.
func extend(path, within string) string {
	if path == "" || strings.HasPrefix(within, "[") {
		return path + within
	}
	return path + "." + within
}

// shown is a value as it is written in a diff.
func shown(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 200
	text := string(b)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
