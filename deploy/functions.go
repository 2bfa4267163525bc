package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"text/template"

	"github.com/myelin-run/myelin/document"
)

// refused begins what `required` says.
const refused = "refused: "

// functions are those of Helm's that the chart uses, each as Helm has it.
func functions(all *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var b bytes.Buffer
			err := all.ExecuteTemplate(&b, name, data)
			return b.String(), err
		},
		"required": func(message string, v any) (any, error) {
			if v == nil || v == "" {
				return nil, errors.New(refused + message)
			}
			return v, nil
		},
		"default": func(other, v any) any {
			if empty(v) {
				return other
			}
			return v
		},
		"ternary": func(yes, no any, which bool) any {
			if which {
				return yes
			}
			return no
		},
		"quote":  func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"toYaml": toYAML,
		"nindent": func(n int, text string) string {
			pad := "\n" + strings.Repeat(" ", n)
			return pad + strings.ReplaceAll(text, "\n", pad)
		},
	}
}

func empty(v any) bool {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Map, reflect.Slice:
		return r.Len() == 0
	}
	return !r.IsValid() || r.IsZero()
}

func toYAML(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err == nil {
		raw, err = document.YAML(raw)
	}
	return strings.TrimSuffix(string(raw), "\n"), err
}
