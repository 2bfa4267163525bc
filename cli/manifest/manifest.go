// Package manifest reads the documents that `myelin apply` is given: YAML or
// JSON, several in a file, of any kind, with the line of each mistake. It knows
// the kinds by a table, and nothing of what is done with the documents.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Kind is one kind of document.
type Kind struct {
	Name  string   // "Function"
	Also  []string // other names, such as Nuclio's
	Order int      // what others need comes first
	// Check reads a document strictly and returns all mistakes, with lines.
	Check func(name string, text []byte) error
}

// Kinds are the kinds that can be applied. A kind joins with one entry.
func Kinds() []Kind {
	return []Kind{
		{Name: function.ProjectKind, Also: []string{"NuclioProject"}, Order: 1, Check: func(name string, text []byte) error {
			_, err := function.ParseProject(name, text)
			return err
		}},
		{Name: function.Kind, Also: []string{function.NuclioKind}, Order: 2, Check: func(name string, text []byte) error {
			_, err := function.Parse(name, text)
			return err
		}},
		{Name: function.AliasKind, Order: 4, Check: func(name string, text []byte) error {
			_, err := function.ParseAlias(name, text)
			return err
		}},
		{Name: function.MappingKind, Order: 5, Check: func(name string, text []byte) error {
			_, err := function.ParseMapping(name, text)
			return err
		}},
		{Name: function.RolloutKind, Order: 6, Check: func(name string, text []byte) error {
			_, err := function.ParseRollout(name, text)
			return err
		}},
	}
}

// Order returns when a kind is applied, 0 if it is not.
func Order(name string) int {
	for _, k := range Kinds() {
		if k.Name == name {
			return k.Order
		}
	}
	return 0
}

// Doc is one document.
type Doc struct {
	Kind     Kind
	File     string // "-" for the standard input
	Line     int    // where it begins
	Metadata function.Metadata
	// Function is what spec.function says, if anything.
	Function string
	JSON     []byte // as it is written
	doc      *document.Document
	base     string // where it is within doc
}

// Title is how the command line names the object: FUNCTION:NAME if it belongs to
// a function.
func (d *Doc) Title() string {
	if d.Kind.Name == function.AliasKind || d.Kind.Name == function.RolloutKind {
		return d.Function + ":" + d.Metadata.Name
	}
	return d.Metadata.Name
}

// Key tells documents apart.
func (d *Doc) Key() string {
	return d.Kind.Name + " " + d.Metadata.Namespace + "/" + d.Title()
}

// Locate gives err the lines of the document.
func (d *Doc) Locate(err error) error { return d.doc.Locate(err, d.base) }

// Errorf is a mistake at a field of the document.
func (d *Doc) Errorf(path, format string, args ...any) error {
	return d.Locate(document.Errors{{Path: path, Msg: fmt.Sprintf(format, args...)}})
}

// Options say what to read.
type Options struct {
	Paths     []string // files, directories, or - for Input
	Recursive bool     // what is in directories of directories too
	Input     io.Reader
	Namespace string // of documents that name none; one that names another is a mistake
}

// Read reads all documents, in the order of the kinds. Every mistake in any of
// them is told, and then there are no documents.
func Read(o Options) ([]*Doc, error) {
	files, err := find(o)
	if err != nil {
		return nil, err
	}
	var docs []*Doc
	var mistakes document.Errors
	for _, file := range files {
		text, err := read(file.path, o.Input)
		if err != nil {
			return nil, err
		}
		found, err := parseFile(file, text)
		var es document.Errors
		if errors.As(err, &es) {
			mistakes = append(mistakes, es...)
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, found...)
	}
	mistakes = append(mistakes, settle(docs, o.Namespace)...)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(docs, func(a, b *Doc) int { return a.Kind.Order - b.Kind.Order })
	return docs, nil
}

// Text reads a file, or the standard input if it is called -.
func Text(path string, in io.Reader) ([]byte, error) { return read(path, in) }

// ReadText is Read of one text.
func ReadText(name string, text []byte, namespace string) ([]*Doc, error) {
	docs, err := parseFile(file{path: name}, text)
	if err != nil {
		return nil, err
	}
	if err := settle(docs, namespace).Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(docs, func(a, b *Doc) int { return a.Kind.Order - b.Kind.Order })
	return docs, nil
}

// One reads one document in JSON.
func One(text []byte) (*Doc, error) {
	docs, err := ReadText("export.json", text, "")
	if err == nil && len(docs) != 1 {
		err = fmt.Errorf("read document: %d documents", len(docs))
	}
	if err != nil {
		return nil, err
	}
	return docs[0], nil
}

// settle fills in namespaces and finds what is there twice.
func settle(docs []*Doc, namespace string) (mistakes document.Errors) {
	add := func(err error) {
		var es document.Errors
		if errors.As(err, &es) {
			mistakes = append(mistakes, es...)
		}
	}
	seen := map[string]*Doc{}
	for _, d := range docs {
		if d.Metadata.Name == "" {
			add(d.Errorf("metadata.name", "is required"))
		}
		if has := d.Metadata.Namespace; namespace != "" && has != "" && has != namespace {
			add(d.Errorf("metadata.namespace", "is %q, and the command line's is %q", has, namespace))
		}
		if d.Metadata.Namespace == "" {
			d.Metadata.Namespace = namespace
		}
		if first := seen[d.Key()]; first != nil {
			add(d.Errorf("metadata.name", "%s %q is there twice, first at %s:%d", d.Kind.Name, d.Metadata.Name, first.File, first.Line))
		}
		seen[d.Key()] = d
	}
	return mistakes
}

// file is a file to read; loose if it was found rather than named.
type file struct {
	path  string
	loose bool
}

func find(o Options) (files []file, err error) {
	for _, path := range o.Paths {
		fi, err := os.Stat(path)
		switch {
		case path == "-":
			files = append(files, file{path: path})
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", path, unwrapped(err))
		case !fi.IsDir():
			files = append(files, file{path: path})
		default:
			in, err := within(path, o.Recursive)
			if err != nil {
				return nil, err
			}
			files = append(files, in...)
		}
	}
	return files, nil
}

// unwrapped is why a file cannot be read, without its name.
func unwrapped(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// within finds the documents of a directory.
func within(dir string, recursive bool) (files []file, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (!recursive || strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
			files = append(files, file{path, true})
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("read %s: there is no file *.yaml, *.yml or *.json in it", dir)
	}
	return files, err
}

func read(path string, in io.Reader) ([]byte, error) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(in, 16*document.MaxBytes))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, unwrapped(err))
	}
	return text, nil
}

// split separates the documents of a file. Each stands at the lines that it
// has in the file, after empty ones.
func split(text []byte) (parts [][]byte) {
	at, begin, blank, lines := 0, 0, 0, 0
	flush := func() {
		if part := text[begin:at]; len(bytes.TrimSpace(part)) > 0 {
			parts = append(parts, append(bytes.Repeat([]byte("\n"), blank), part...))
		}
	}
	for line := range bytes.Lines(text) {
		if bytes.Equal(bytes.TrimRight(line, " \t\r\n"), []byte("---")) || bytes.HasPrefix(line, []byte("--- ")) {
			flush()
			begin, blank = at+len("---"), lines
		}
		at += len(line)
		lines++
	}
	flush()
	return parts
}

func parseFile(f file, text []byte) (docs []*Doc, err error) {
	var mistakes document.Errors
	for _, part := range split(text) {
		found, err := parseOne(f, part)
		var es document.Errors
		if errors.As(err, &es) {
			mistakes = append(mistakes, es...)
			continue
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, found...)
	}
	return docs, mistakes.Err()
}

// head is what tells the kind of a document.
type head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Function string `json:"function"`
	} `json:"spec"`
}

func parseOne(f file, text []byte) ([]*Doc, error) {
	doc, err := document.Parse(f.path, text)
	if err != nil {
		return nil, err
	}
	var h head
	if err := json.Unmarshal(doc.JSON(), &h); err != nil && h.Kind == "" {
		if f.loose && filepath.Ext(f.path) == ".json" {
			return nil, nil // package.json and the like
		}
	}
	if h.Kind == "List" {
		return parseList(doc, h)
	}
	if h.Kind == "" && h.APIVersion == "" {
		switch base := filepath.Base(f.path); {
		case string(doc.JSON()) == "{}" || string(doc.JSON()) == "null":
			return nil, nil // comments alone
		case f.loose && filepath.Ext(base) == ".json":
			return nil, nil
		case base == "function.yaml" || base == "function.yml":
			h.Kind = function.Kind
		}
	}
	kind, err := kindOf(doc, "", h)
	if err != nil {
		return nil, err
	}
	if err := kind.Check(f.path, text); err != nil {
		return nil, err
	}
	return []*Doc{made(doc, "", kind, h, doc.JSON())}, nil
}

// parseList reads the items of a list as documents.
func parseList(doc *document.Document, list head) (docs []*Doc, err error) {
	for i, raw := range list.Items {
		base := fmt.Sprintf("items[%d]", i)
		var h head
		if err := json.Unmarshal(raw, &h); err != nil {
			return nil, doc.Locate(err, base)
		}
		kind, err := kindOf(doc, base, h)
		if err != nil {
			return nil, err
		}
		if err := kind.Check("", raw); err != nil {
			return nil, doc.Locate(bare(err), base)
		}
		docs = append(docs, made(doc, base, kind, h, raw))
	}
	return docs, nil
}

// bare takes the lines from mistakes in a part of a document.
func bare(err error) error {
	var es document.Errors
	if errors.As(err, &es) {
		for _, e := range es {
			e.Line, e.Column = 0, 0
		}
	}
	return err
}

func made(doc *document.Document, base string, kind Kind, h head, raw []byte) *Doc {
	line, _ := doc.Position(base)
	m := function.Metadata{Name: h.Metadata.Name, Namespace: h.Metadata.Namespace, Labels: h.Metadata.Labels}
	if base == "" {
		line, _ = doc.Position("metadata")
	}
	return &Doc{Kind: kind, File: doc.Name(), Line: line, Metadata: m, Function: h.Spec.Function, JSON: raw, doc: doc, base: base}
}

func kindOf(doc *document.Document, base string, h head) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if h.Kind == k.Name || slices.Contains(k.Also, h.Kind) {
			return k, nil
		}
		names = append(names, k.Name)
	}
	if h.Kind == "" {
		return Kind{}, doc.Locate(document.Errors{{Path: "kind", Msg: "is required, one of " + strings.Join(names, ", ")}}, base)
	}
	return Kind{}, doc.Locate(document.Errors{{Path: "kind", Msg: fmt.Sprintf("unknown value %q%s (known: %s)", h.Kind, document.DidYouMean(h.Kind, names), strings.Join(names, ", "))}}, base)
}
