package golang

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// modulePath is Myelin's own.
const modulePath = "github.com/myelin-run/myelin"

// The two modules that Nuclio's functions import.
const (
	nuclioPath = "github.com/nuclio/nuclio-sdk-go"
	loggerPath = "github.com/nuclio/logger"
)

// flavour is a family of handlers: what they import and how the generated main
// hands them to the runtime.
type flavour struct {
	doc string
	// forms a handler may have, written as form does.
	forms  []string
	init   string
	packge string // of the function Of, below Myelin's module
}

var (
	own = flavour{
		doc: "for Myelin",
		forms: []string{
			"func(*myelin.Context, *myelin.Event, *myelin.Response) error",
			"func(*myelin.Context, *myelin.Event) (any, error)",
			"func(*myelin.Context, []*myelin.Event, []*myelin.Response, []error) error",
			"func(*myelin.Context, []*myelin.Event) ([]any, error)",
		},
		init:   "func(*myelin.Context) error",
		packge: "runtime/native",
	}
	nuclio = flavour{
		doc:    "for Nuclio",
		forms:  []string{"func(*nuclio.Context, nuclio.Event) (any, error)"},
		init:   "func(*nuclio.Context) error",
		packge: "runtime/native/nuclio",
	}
	flavours = []flavour{own, nuclio}
)

// expected names the forms in a message.
const expected = `expected one of
  func Handler(ctx *myelin.Context, ev *myelin.Event, out *myelin.Response) error
  func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error)       with "github.com/myelin-run/myelin/sdk/go"
  func Handler(ctx *myelin.Context, evs []*myelin.Event, outs []*myelin.Response, errs []error) error    for batches
  func Handler(ctx *myelin.Context, evs []*myelin.Event) ([]any, error)  for batches
  func Handler(ctx *nuclio.Context, ev nuclio.Event) (interface{}, error)  with "github.com/nuclio/nuclio-sdk-go"`

// packages are the import paths whose types count, with the names they have in
// forms.
var packages = map[string]string{
	modulePath + "/sdk/go":     "myelin",
	modulePath + "/event":      "myelin",
	modulePath + "/sdk/nuclio": "nuclio",
	nuclioPath:                 "nuclio",
}

// form writes the type of a function, packages by the names of [packages].
func form(f *ast.File, t *ast.FuncType) string {
	names := importNames(f)
	var b strings.Builder
	b.WriteString("func(" + fieldList(names, t.Params) + ")")
	switch results := fieldList(names, t.Results); {
	case results == "":
	case t.Results.NumFields() > 1:
		b.WriteString(" (" + results + ")")
	default:
		b.WriteString(" " + results)
	}
	return b.String()
}

func fieldList(names map[string]string, l *ast.FieldList) string {
	if l == nil {
		return ""
	}
	var out []string
	for _, f := range l.List {
		for range max(1, len(f.Names)) {
			out = append(out, typeName(names, f.Type))
		}
	}
	return strings.Join(out, ", ")
}

func typeName(names map[string]string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "*" + typeName(names, e.X)
	case *ast.ParenExpr:
		return typeName(names, e.X)
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if pkg, ok := e.X.(*ast.Ident); ok {
			if known := names[pkg.Name]; known != "" {
				return known + "." + e.Sel.Name
			}
			return pkg.Name + "." + e.Sel.Name
		}
	case *ast.InterfaceType:
		if e.Methods.NumFields() == 0 {
			return "any"
		}
	case *ast.ArrayType:
		return "[]" + typeName(names, e.Elt)
	case *ast.Ellipsis:
		return "..." + typeName(names, e.Elt)
	}
	return fmt.Sprintf("%T", e)
}

// importNames maps the names under which a file imports [packages].
func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		known := packages[p]
		if err != nil || known == "" {
			continue
		}
		name := known
		if path.Base(p) == "event" {
			name = "event"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = known
	}
	return names
}

func parse(fset *token.FileSet, name string, text []byte) (*ast.File, error) {
	return parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
}
