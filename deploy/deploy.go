// Package deploy has what Myelin is installed of on a cluster: a Helm chart, and a
// renderer that makes of it what Helm makes of it, so that who has no Helm gets the
// same objects. It reaches no cluster.
package deploy

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/myelin-run/myelin/document"
)

//go:embed all:chart/myelin
var chart embed.FS

// chartDir is the chart's directory, by the paths that Helm knows.
const chartDir = "chart/myelin"

// Release is what an installation is called.
type Release struct{ Name, Namespace string }

// Object is one that Kubernetes shall have, as it is written in its manifest.
type Object map[string]any

// Kind is what the object is: "Deployment".
func (o Object) Kind() string { return text(o, "kind") }

// Version is the API that it is of: "apps/v1".
func (o Object) Version() string { return text(o, "apiVersion") }

// Name is its own.
func (o Object) Name() string { return text(o.meta(), "name") }

// Namespace is where it is.
func (o Object) Namespace() string { return text(o.meta(), "namespace") }

func (o Object) meta() map[string]any {
	m, _ := o["metadata"].(map[string]any)
	return m
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// Rendered is what a chart says with values.
type Rendered struct {
	Objects []Object
	Notes   string // what is printed when all of it is there
}

// metadata is what templates read of Chart.yaml.
type metadata struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	AppVersion string `json:"appVersion"`
}

// Render makes the objects of a release, in the order in which they are applied.
func Render(r Release, v Values) (out Rendered, err error) {
	var about metadata
	if err := read("Chart.yaml", &about); err != nil {
		return out, err
	}
	values, err := plain(v)
	if err != nil {
		return out, err
	}
	all, err := templates()
	if err != nil {
		return out, err
	}
	data := map[string]any{"Values": values, "Chart": about, "Release": r}
	for _, name := range order {
		var b bytes.Buffer
		if err := all.ExecuteTemplate(&b, name, data); err != nil {
			return out, complaint(err)
		}
		if name == notes {
			out.Notes = b.String()
			continue
		}
		objects, err := split(name, b.String())
		if err != nil {
			return out, err
		}
		out.Objects = append(out.Objects, objects...)
	}
	return out, nil
}

// notes are no object.
const notes = "NOTES.txt"

// order is that in which objects are applied: what others need comes first.
var order = []string{"account.yaml", "rbac.yaml", "claim.yaml", "services.yaml", "network.yaml", "budget.yaml", "deployment.yaml", "ingress.yaml", "httproute.yaml", notes}

// complaint is what a template refused, without where in the template.
func complaint(err error) error {
	if _, said, found := strings.Cut(err.Error(), refused); found {
		return fmt.Errorf("values: %s", said)
	}
	return fmt.Errorf("render chart: %w", err)
}

func read(name string, into any) error {
	body, err := chart.ReadFile(path.Join(chartDir, name))
	if err != nil {
		return err
	}
	doc, err := document.Parse(name, body)
	if err != nil {
		return err
	}
	if name == "Chart.yaml" {
		doc.Ignore("apiVersion", "description", "type", "kubeVersion")
	}
	return doc.Decode(into)
}

// plain is v as templates see it: names as in values.yaml, numbers as they are written.
func plain(v any) (out map[string]any, err error) {
	raw, err := json.Marshal(v)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		err = dec.Decode(&out)
	}
	return out, err
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// split reads the documents that a template made.
func split(name, body string) (all []Object, err error) {
	for _, one := range separator.Split(body, -1) {
		if strings.TrimSpace(comment.ReplaceAllString(one, "")) == "" {
			continue
		}
		doc, err := document.Parse(name, []byte(one))
		if err != nil {
			return nil, fmt.Errorf("render chart: %w", err)
		}
		object := Object{}
		if err := json.Unmarshal(doc.JSON(), &object); err != nil {
			return nil, fmt.Errorf("render chart: %w", err)
		}
		all = append(all, object)
	}
	return all, nil
}

var comment = regexp.MustCompile(`(?m)^\s*#.*$`)

// YAML writes objects as one manifest.
func YAML(objects []Object) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		raw, err := json.Marshal(ordered(o))
		if err == nil {
			raw, err = document.YAML(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", o.Kind(), err)
		}
		out.Write(raw)
	}
	return out.Bytes(), nil
}

// ordered has what an object is come before what it says.
func ordered(o Object) json.Marshaler { return fields(o) }

type fields map[string]any

func (f fields) MarshalJSON() ([]byte, error) {
	first := []string{"apiVersion", "kind", "metadata"}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(f)), func(n string) bool { return slices.Contains(first, n) })
	var b bytes.Buffer
	for _, name := range append(first, names...) {
		raw, err := json.Marshal(f[name])
		if err != nil {
			return nil, err
		}
		sign := ","
		if b.Len() == 0 {
			sign = "{"
		}
		fmt.Fprintf(&b, "%s%q:%s", sign, name, raw)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// templates are the chart's, with those functions of Helm's that they use.
func templates() (*template.Template, error) {
	all := template.New("chart").Option("missingkey=error")
	all.Funcs(functions(all))
	return all.ParseFS(chart, path.Join(chartDir, "templates/*"))
}
