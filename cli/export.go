package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/manifest"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// exporting is what `myelin export` was told.
type exporting struct {
	all, reveal, artefacts bool
	selection              client.Selection
	to                     string
	kinds                  []kind
	names                  []string
}

func (a *app) exportCommand() *cobra.Command {
	var e exporting
	c := &cobra.Command{
		Use:   "export [KIND [NAME...]]",
		Short: "Write objects as documents that can be applied or imported",
		Long: "Writes the objects of a kind, or with --all of every kind that can be applied, as they are declared: without\n" +
			"status and versions. Secrets are written as ***, unless --reveal-secrets asks for them. A directory gets a file\n" +
			"for each object, a file all of them.",
		Example:           "  myelin export functions > functions.yaml\n  myelin export --all -o backup/ --reveal-secrets --artefacts\n  myelin export function hello",
		ValidArgsFunction: a.completeObjects,
		Args: func(_ *cobra.Command, args []string) error {
			if e.all == (len(args) > 0) {
				return usage("export what? a kind (%s), or --all", a.kindList())
			}
			if e.all {
				for _, k := range a.kinds() {
					if manifest.Order(k.name) > 0 && k.name != function.RolloutKind { // which is something to happen, not to be
						e.kinds = append(e.kinds, k)
					}
				}
				return nil
			}
			k, names, said := a.about(args, false)
			if !said {
				return a.noKind("export", args[0])
			}
			e.kinds, e.names = []kind{k}, names
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return a.exportAll(e) },
	}
	fs := c.Flags()
	fs.BoolVar(&e.all, "all", false, "every kind that can be applied")
	fs.BoolVar(&e.reveal, "reveal-secrets", false, "write secrets in the clear")
	fs.BoolVar(&e.artefacts, "artefacts", false, "copy what functions were built to as well, from the data directory of this machine; -o must be a directory")
	fs.StringVarP(&e.to, "output", "o", "-", "`path` of a file (.yaml or .json) or, ending in /, of a directory; - is the standard output")
	addSelection(c, &e.selection)
	return c
}

// declared is an object as it was declared.
type declared struct {
	kind  kind
	title string
	json  []byte
}

func (a *app) exportAll(e exporting) error {
	e.selection.Reveal = e.reveal
	dir := strings.HasSuffix(e.to, "/") || isDir(e.to)
	if e.artefacts && !dir {
		return usage("--artefacts: -o must be a directory, which ends in /")
	}
	var out []declared
	for _, k := range e.kinds {
		found, err := a.exported(e, k)
		if err != nil {
			return a.asked(err)
		}
		out = append(out, found...)
	}
	if err := writeExport(a, e, out, dir); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	if e.to != "-" {
		fmt.Fprintf(a.term.Err, "exported %d objects to %s\n", len(out), e.to)
	}
	return nil
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// exported reads the objects of a kind that are wanted.
func (a *app) exported(e exporting, k kind) (out []declared, err error) {
	s := e.selection
	if k.name != function.Kind && k.name != function.MappingKind {
		s.Reveal = false // there is nothing to reveal
	}
	if k.ofFunction || k.name == function.ProjectKind {
		s.Project = ""
	}
	var objects []json.RawMessage
	if len(e.names) == 0 {
		objects, err = a.list(a.ctx, a.client(), k, s, "")
	}
	for _, name := range e.names {
		at, perr := k.place(name)
		if perr != nil {
			return nil, perr
		}
		o, gerr := a.client().Get(a.ctx, at, s.Reveal)
		if gerr != nil {
			return nil, gerr
		}
		objects = append(objects, o)
	}
	for _, o := range objects {
		title := k.title(o)
		text, serr := stripped(k, o)
		if serr != nil {
			return nil, serr
		}
		if text != nil {
			out = append(out, declared{k, title, text})
		}
	}
	return out, err
}

// stripped is an object without what is this place's own; nil if nobody
// declared it.
func stripped(k kind, o json.RawMessage) ([]byte, error) {
	doc, err := document.Parse("object.json", o)
	if err != nil {
		return nil, err
	}
	m := read[anyObject](o).Metadata
	if k.many == "projects" && m.ResourceVersion == "" {
		return nil, nil // the project default, which is there by itself
	}
	if strings.HasPrefix(read[struct {
		Spec struct{ Owner string }
	}](o).Spec.Owner, "function ") {
		return nil, nil // a mapping that its function makes
	}
	doc.Ignore("status", "metadata.resourceVersion", document.Join("metadata.annotations", api.AppliedAnnotation), document.Join("metadata.labels", api.OwnerLabel))
	for _, field := range []string{"metadata.annotations", "metadata.labels"} {
		if doc.Has(field) && len(doc.Fields(field)) == 0 {
			doc.Ignore(field)
		}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc.JSON(), &fields); err != nil {
		return nil, err
	}
	if fields["kind"] == nil {
		fields["apiVersion"], fields["kind"] = json.RawMessage(`"myelin.run/v1"`), json.RawMessage(`"`+k.name+`"`)
	}
	return json.Marshal(fields)
}

func writeExport(a *app, e exporting, out []declared, dir bool) error {
	if dir {
		for _, d := range out {
			if err := exportFile(e.to, d); err != nil {
				return err
			}
			if e.artefacts {
				if err := a.exportArtefact(e.to, d); err != nil {
					return err
				}
			}
		}
		return os.MkdirAll(e.to, 0o755)
	}
	text, err := together(out, strings.HasSuffix(e.to, ".json"))
	if err != nil {
		return err
	}
	if e.to == "-" {
		_, err = a.term.Out.Write(text)
		return err
	}
	return os.WriteFile(e.to, text, 0o600)
}

// together is all objects in one text: documents of YAML, or a list in JSON.
func together(out []declared, asJSON bool) ([]byte, error) {
	if asJSON {
		items := []json.RawMessage{}
		for _, d := range out {
			items = append(items, d.json)
		}
		text, err := json.MarshalIndent(map[string]any{"apiVersion": "myelin.run/v1", "kind": "List", "items": items}, "", "  ")
		return append(text, '\n'), err
	}
	var b bytes.Buffer
	for i, d := range out {
		text, err := document.YAML(d.json)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// exportFile writes one object beside the others of its kind.
func exportFile(dir string, d declared) error {
	path := filepath.Join(dir, d.kind.many, strings.ReplaceAll(d.title, ":", ".")+".yaml")
	text, err := document.YAML(d.json)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// exportArtefact copies what a function was built to.
func (a *app) exportArtefact(dir string, d declared) error {
	digest := read[anyObject](d.json).Metadata.Annotations[plan.ArtefactAnnotation]
	if digest == "" {
		return nil
	}
	data, err := a.dataDir()
	if err != nil {
		return err
	}
	got, err := find(data, digest)
	if err != nil {
		return err
	}
	to := filepath.Join(dir, artefactDir, digest)
	if exists(to) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return export(got.Dir, to)
}

// artefactDir is where an export has artefacts. Its name keeps what is in them
// from being taken for documents.
const artefactDir = ".artefacts"
