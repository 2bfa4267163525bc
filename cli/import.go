package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/cli/manifest"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// importing is what `myelin import` was told.
type importing struct {
	paths     []string
	overwrite bool
	noBuild   bool
	out       format
}

// imported is one line of the report.
type imported struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Result string   `json:"result"` // created, replaced, there, notTakenOver, failed
	Notes  []string `json:"notes,omitempty"`
}

// What became of an imported object.
const (
	resultCreated  = "created"
	resultReplaced = "replaced"
	resultThere    = "there"
	resultLeft     = "notTakenOver"
	resultFailed   = "failed"
)

func (a *app) importCommand() *cobra.Command {
	var i importing
	c := &cobra.Command{
		Use:   "import PATH...",
		Short: "Take over objects that `myelin export` or `nuctl export` wrote",
		Long: "Makes the objects of an export: of Myelin (a file or a directory) or of Nuclio (`nuctl export functions` and\n" +
			"`nuctl export projects`, YAML or JSON). It reports what was taken over, and of what was not, why. Functions\n" +
			"whose source is in the export are built. What is there already stays as it is, unless --overwrite is given.",
		Example: "  nuctl export projects | myelin import -\n  myelin import backup/ --overwrite",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("import what? usage: %s", c.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			i.paths = args
			return a.importAll(i)
		},
	}
	c.Flags().BoolVar(&i.overwrite, "overwrite", false, "replace objects that are there already")
	c.Flags().BoolVar(&i.noBuild, "no-build", false, "do not build functions; they wait for it")
	addFormat(c, &i.out, "text", "json", "yaml")
	return c
}

func (a *app) importAll(i importing) error {
	if _, err := a.client().Version(a.ctx); err != nil {
		return a.asked(err)
	}
	var objects []manifest.Imported
	for _, path := range i.paths {
		found, err := a.readExport(path)
		if err != nil {
			return misused(err)
		}
		objects = append(objects, found...)
	}
	slices.SortStableFunc(objects, func(x, y manifest.Imported) int { return rank(x.Kind) - rank(y.Kind) })
	p := a.term.Progress()
	defer p.Close()
	report, failed := []imported{}, 0
	for _, o := range objects {
		got := a.importOne(i, o, p)
		if a.ctx.Err() != nil {
			return a.interrupted(a.ctx.Err(), "interrupted; what is told above was taken over, import again for the rest")
		}
		if got.Result == resultFailed {
			failed++
		}
		report = append(report, got)
		if !i.out.machine() {
			a.tellImported(got)
		}
	}
	if i.out.machine() {
		if err := a.write(i.out, report); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fail(exitFailed, fmt.Errorf("%d of %d objects could not be taken over", failed, len(objects)), "")
	}
	return nil
}

// rank orders kinds as they need each other; what is not taken over is last.
func rank(kind string) int {
	if n := manifest.Order(kind); n > 0 {
		return n
	}
	return 1 << 10
}

// readExport reads a file or directory, Nuclio's or ours.
func (a *app) readExport(path string) (out []manifest.Imported, err error) {
	if !isDir(path) {
		text, err := manifest.Text(path, a.term.In)
		if err != nil {
			return nil, err
		}
		if out, ok, err := manifest.ReadExport(path, text); ok && err == nil {
			return out, nil
		}
		return documents(manifest.ReadText(path, text, a.namespace))
	}
	if from := filepath.Join(path, artefactDir); isDir(from) {
		if err := a.importArtefacts(from); err != nil {
			return nil, err
		}
	}
	return documents(manifest.Read(manifest.Options{Paths: []string{path}, Recursive: true, Namespace: a.namespace}))
}

func documents(docs []*manifest.Doc, err error) (out []manifest.Imported, _ error) {
	for _, d := range docs {
		out = append(out, manifest.Imported{Kind: d.Kind.Name, Name: d.Title(), JSON: d.JSON, Doc: d})
	}
	return out, err
}

// importArtefacts puts artefacts where the control plane of this machine finds
// them.
func (a *app) importArtefacts(from string) error {
	data, err := a.dataDir()
	if err != nil {
		return err
	}
	digests, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, d := range digests {
		if !digestForm.MatchString(d.Name()) {
			continue
		}
		if _, err := artefact.New(data).Get(d.Name()); err == nil {
			continue
		}
		if err := export(filepath.Join(from, d.Name()), filepath.Join(data, "artefacts", d.Name())); err != nil {
			return fmt.Errorf("import artefact %s: %w", short(d.Name()), err)
		}
	}
	return nil
}

// importOne takes over one object.
func (a *app) importOne(i importing, o manifest.Imported, p *terminal.Progress) imported {
	out := imported{Kind: o.Kind, Name: o.Name, Result: resultLeft, Notes: o.Notes}
	k, ok := a.kindNamed(manifest.Kind{Name: o.Kind})
	if o.JSON == nil || !ok {
		if o.JSON != nil {
			out.Notes = append(out.Notes, o.Kind+" cannot be imported")
		}
		return out
	}
	note := func(err error) imported {
		out.Result = resultFailed
		out.Notes = append(out.Notes, strings.Split(err.Error(), "\n")...)
		return out
	}
	at, err := k.place(o.Name)
	if err != nil {
		return note(err)
	}
	space := a.namespace
	if o.Doc != nil {
		space = o.Doc.Metadata.Namespace
	}
	c := a.clientFor(space)
	_, err = c.Get(a.ctx, at, false)
	switch {
	case err == nil && !i.overwrite:
		out.Result = resultThere
		return out
	case err == nil:
		out.Result = resultReplaced
	case client.NotFound(err):
		out.Result = resultCreated
		if hidden := stars("", o.JSON); len(hidden) > 0 {
			return note(fmt.Errorf("%s: only *** is in the export: export with --reveal-secrets, or write the secret into it", strings.Join(hidden, ", ")))
		}
	default:
		return note(a.asked(err))
	}
	text := o.JSON
	if o.Kind == function.Kind {
		var why error
		if text, why = a.importSource(i, o, p); why != nil {
			out.Notes = append(out.Notes, "it waits to be built: "+strings.ReplaceAll(why.Error(), "\n", "; "))
			text = o.JSON
		}
		if err := a.importProject(c, text, &out); err != nil {
			return note(err)
		}
	}
	if err := c.Store(a.ctx, at, text); err != nil {
		return note(err)
	}
	return out
}

// importProject makes the project that a function is in, if the export has not.
func (a *app) importProject(c *client.Client, text []byte, out *imported) error {
	m := read[anyObject](text).Metadata
	name := m.Project()
	if _, err := c.Project(a.ctx, name); !client.NotFound(err) {
		return err
	}
	p := function.Project{APIVersion: function.APIVersion, Kind: function.ProjectKind, Metadata: function.Metadata{Name: name}}
	if err := c.CreateProject(a.ctx, p); err != nil {
		return err
	}
	out.Notes = append(out.Notes, "its project "+name+" was made, which is not in the export")
	return nil
}

// importSource builds a function whose source the export has.
func (a *app) importSource(i importing, o manifest.Imported, p *terminal.Progress) ([]byte, error) {
	cfg := read[function.Config](o.JSON)
	if i.noBuild || cfg.Metadata.Annotations[plan.ArtefactAnnotation] != "" {
		return o.JSON, nil
	}
	if o.Doc != nil {
		return a.source(o.Doc, p)
	}
	if cfg.Spec.Build.FunctionSourceCode == "" {
		return o.JSON, nil
	}
	doc, err := manifest.One(o.JSON)
	if err != nil {
		return nil, err
	}
	return a.source(doc, p)
}

// stars returns the paths at which only *** stands for a secret.
func stars(path string, raw json.RawMessage) (out []string) {
	var fields map[string]json.RawMessage
	var items []json.RawMessage
	switch {
	case json.Unmarshal(raw, &fields) == nil:
		for name, child := range fields {
			out = append(out, stars(document.Join(path, name), child)...)
		}
	case json.Unmarshal(raw, &items) == nil:
		for n, child := range items {
			out = append(out, stars(fmt.Sprintf("%s[%d]", path, n), child)...)
		}
	case read[string](raw) == "***" || strings.Contains(read[string](raw), ":***@"):
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

func (a *app) tellImported(got imported) {
	t := a.term
	mark, colour, what := "+", terminal.Green, ""
	switch got.Result {
	case resultReplaced:
		mark, colour = "~", terminal.Yellow
	case resultThere:
		mark, colour, what = " ", terminal.Dim, ": is there already and stays; --overwrite replaces it"
	case resultLeft:
		mark, colour, what = "!", terminal.Yellow, ": not taken over"
	case resultFailed:
		mark, colour, what = "!", terminal.Red, ": failed"
	}
	fmt.Fprintln(t.Out, t.OnOut(colour, mark+" "+got.Kind+" "+got.Name+what))
	for _, n := range got.Notes {
		fmt.Fprintln(t.Out, "    "+n)
	}
}
