package openapi_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	page  = "../../../docs/reference/api.md"
	begin = "do not edit -->\n"
	end   = "<!-- end of operations -->"
)

// The page in docs/reference has every operation.
func TestReferenceIsFresh(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("%s has no place for the operations", page)
	}
	golden(t, page, head+begin+table(paths(t))+end+tail, "go test ./control/api/openapi -update")
}

func table(w written) string {
	var b strings.Builder
	b.WriteString("\n| request | what it does | parameters | answers |\n|---|---|---|---|\n")
	routes := slices.SortedFunc(maps.Keys(w.Operations), func(x, y string) int {
		mx, px, _ := strings.Cut(x, " ")
		my, py, _ := strings.Cut(y, " ")
		return strings.Compare(px+" "+mx, py+" "+my)
	})
	for _, route := range routes {
		op := w.Operations[route]
		request := "`" + route + "`"
		if op.AnyMethod {
			_, path, _ := strings.Cut(route, " ")
			request = "any method, `" + path + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", request, op.Summary, strings.Join(w.queries(op), " "), op.told())
	}
	b.WriteString("\n")
	return b.String()
}

// queries are the parameters of the query that are an operation's own.
func (w written) queries(op operation) (out []string) {
	for _, key := range op.Parameters {
		p := w.Parameters[key]
		if name := p.name(key); p.In == "query" && name != "namespace" {
			out = append(out, "`"+name+"`")
		}
	}
	return out
}

// told are an operation's answers and problems; those that all have are left
// out.
func (op operation) told() string {
	var out []string
	for _, status := range slices.Sorted(maps.Keys(op.Answers)) {
		out = append(out, strings.TrimSpace(status+" "+op.Answers[status]))
	}
	switch {
	case op.Lines != "":
		out = append(out, "200 lines of "+op.Lines)
	case op.AnyMethod:
		out = append(out, "the function's")
	}
	text := strings.Join(out, ", ")
	for i, p := range op.Problems {
		sep := ", "
		if i == 0 {
			sep = "; "
		}
		text += sep + fmt.Sprint(p)
	}
	return text
}
