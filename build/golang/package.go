package golang

import (
	"errors"
	"fmt"
	"go/ast"
	gobuild "go/build"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
)

// userPackage is the function as its author wrote it.
type userPackage struct {
	files   []userFile
	handler handler
	init    bool // it has an InitContext
}

type userFile struct {
	name string
	text []byte
	ast  *ast.File
	set  *token.FileSet
}

type handler struct {
	name    string
	flavour flavour
}

// readPackage parses the Go files of dir that are compiled on this machine and
// finds the handler.
func readPackage(dir, wanted string, flags []string) (*userPackage, error) {
	ctx := gobuild.Default
	ctx.CgoEnabled, ctx.BuildTags = false, buildTags(flags)
	found, err := ctx.ImportDir(dir, 0)
	var none *gobuild.NoGoError
	var mixed *gobuild.MultiplePackageError
	switch {
	case errors.As(err, &none):
		return nil, &build.Error{Msg: "no Go files in the function's directory"}
	case errors.As(err, &mixed):
		return nil, &build.Error{Msg: fmt.Sprintf("two packages in one directory: %s in %s and %s in %s",
			mixed.Packages[0], mixed.Files[0], mixed.Packages[1], mixed.Files[1])}
	}
	if found == nil || len(found.GoFiles) == 0 && err == nil {
		return nil, &build.Error{Msg: "no Go files in the function's directory are for this machine"}
	}
	p := &userPackage{}
	for _, name := range slices.Concat(found.GoFiles, found.InvalidGoFiles) {
		f, err := readFile(dir, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(p.files, func(have userFile) bool { return have.name == name }) {
			p.files = append(p.files, f)
		}
	}
	if err != nil { // and parsing found nothing wrong
		return nil, &build.Error{Msg: strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")}
	}
	if err := p.findHandler(wanted); err != nil {
		return nil, err
	}
	return p, p.findInit()
}

func readFile(dir, name string) (userFile, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return userFile{}, fmt.Errorf("read %s: %w", name, err)
	}
	f := userFile{name: name, text: text, set: token.NewFileSet()}
	f.ast, err = parse(f.set, name, text)
	var list scanner.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		at := list[0].Pos
		return f, &build.Error{File: name, Line: at.Line, Column: at.Column, Text: lineOf(text, at.Line), Msg: list[0].Msg}
	}
	return f, err
}

// lineOf returns one line of a text, from 1.
func lineOf(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[line-1], "\r")
}

// mistakeAt is a mistake at a place of the file.
func (f *userFile) mistakeAt(pos token.Pos, format string, args ...any) error {
	at := f.set.Position(pos)
	return &build.Error{File: f.name, Line: at.Line, Column: at.Column, Text: lineOf(f.text, at.Line), Msg: fmt.Sprintf(format, args...)}
}

// topFunc is one func at the top of a file.
type topFunc struct {
	file *userFile
	decl *ast.FuncDecl
	form string
}

func (p *userPackage) functions() (out []topFunc) {
	for i := range p.files {
		f := &p.files[i]
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Type.TypeParams == nil {
				out = append(out, topFunc{f, fn, form(f.ast, fn.Type)})
			}
		}
	}
	return out
}

// findHandler finds the function that wanted names, as "Func" or with a file
// or package before a colon; without one, the only function that has the form
// of a handler, or the one of them that is called Handler.
func (p *userPackage) findHandler(wanted string) error {
	name := wanted[strings.LastIndexByte(wanted, ':')+1:]
	var fit []topFunc
	fns := p.functions()
	for _, fn := range fns {
		if fn.decl.Name.Name == name {
			return p.take(fn)
		}
		if _, ok := flavourOf(fn.form); ok && fn.decl.Name.IsExported() {
			fit = append(fit, fn)
		}
	}
	if strings.Contains(wanted, ":") || token.IsExported(name) && !strings.HasSuffix(name, ".go") {
		return p.missing(wanted, name, fit)
	}
	if i := slices.IndexFunc(fit, func(fn topFunc) bool { return fn.decl.Name.Name == "Handler" }); i >= 0 {
		fit = fit[i : i+1]
	}
	switch len(fit) {
	case 1:
		return p.take(fit[0])
	case 0:
		return wrong(fns)
	}
	return &build.Error{Msg: fmt.Sprintf("%s may both be the handler: say which in spec.handler, such as %q", names(fit, " and "), fit[0].decl.Name.Name)}
}

func flavourOf(form string) (flavour, bool) {
	for _, fl := range flavours {
		if slices.Contains(fl.forms, form) {
			return fl, true
		}
	}
	return flavour{}, false
}

func (p *userPackage) take(fn topFunc) error {
	fl, ok := flavourOf(fn.form)
	if !ok {
		return fn.file.mistakeAt(fn.decl.Pos(), "handler %s has the wrong form, %s: %s", fn.decl.Name.Name, fn.form, expected)
	}
	p.handler = handler{fn.decl.Name.Name, fl}
	return nil
}

func (p *userPackage) missing(wanted, name string, fit []topFunc) error {
	msg := fmt.Sprintf("handler %s: there is no function %s in the package", wanted, name)
	if len(fit) > 0 {
		msg += " (handlers found: " + names(fit, ", ") + ")"
	}
	return &build.Error{File: p.files[0].name, Msg: msg}
}

// wrong complains of the function that was likely meant as the handler.
func wrong(fns []topFunc) error {
	for _, likely := range []func(topFunc) bool{
		func(fn topFunc) bool { return fn.decl.Name.Name == "Handler" },
		func(fn topFunc) bool {
			return fn.decl.Name.Name != "InitContext" && (strings.HasPrefix(fn.form, "func(*myelin.") || strings.HasPrefix(fn.form, "func(*nuclio."))
		},
	} {
		if i := slices.IndexFunc(fns, likely); i >= 0 {
			fn := fns[i]
			if _, ok := flavourOf(fn.form); ok {
				return fn.file.mistakeAt(fn.decl.Pos(), "handler %s is not exported: begin its name with a capital letter, or name it in spec.handler", fn.decl.Name.Name)
			}
			return fn.file.mistakeAt(fn.decl.Pos(), "handler %s has the wrong form, %s: %s", fn.decl.Name.Name, fn.form, expected)
		}
	}
	return &build.Error{Msg: "no handler found: " + expected}
}

func names(fns []topFunc, sep string) string {
	out := make([]string, len(fns))
	for i, fn := range fns {
		out[i] = fn.decl.Name.Name
	}
	return strings.Join(out, sep)
}

// findInit finds InitContext and checks that it suits the handler.
func (p *userPackage) findInit() error {
	for _, fn := range p.functions() {
		if fn.decl.Name.Name != "InitContext" {
			continue
		}
		if fn.form != p.handler.flavour.init {
			return fn.file.mistakeAt(fn.decl.Pos(), "InitContext has the wrong form, %s: the handler's needs %s", fn.form, p.handler.flavour.init)
		}
		p.init = true
	}
	return nil
}
