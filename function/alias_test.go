package function

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAlias(t *testing.T) {
	a, err := ParseAlias("alias.yaml", []byte(`apiVersion: myelin.run/v1
kind: Alias
metadata: {name: prod, namespace: shop, labels: {team: a}}
spec:
  function: hello
  versions:
  - {version: 3, weight: 90}
  - {version: $latest, weight: 10}
  sticky: {cookie: uid, ttl: 1h}
  rules:
  - {header: X-Beta, version: "4"}
  - {claim: group, value: 7, version: 4}
status: {effective: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	AliasDefaults(&a)
	if err := ValidateAlias(a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{3, 0, 4}, a.Spec.Names()); diff != "" {
		t.Error(diff)
	}
	if a.Spec.Share(3) != 0.9 || a.Spec.Share(0) != 0.1 || a.Spec.Share(4) != 0 || a.Spec.Rules[1].Value != "7" || a.Status.Effective != nil {
		t.Errorf("%+v", a)
	}
}

func TestAliasMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"spec: {funcion: x}":                                            "unknown field spec.funcion, did you mean function?",
		"metadata: {name: \"3\"}":                                       `metadata.name: "3" is a number`,
		"spec: {versions: [{version: v3}]}":                             `spec.versions[0].version: "v3" is not a version: want a number such as 3, or $latest`,
		"spec: {versions: [{version: 03}]}":                             "spec.versions[0].version",
		"spec: {versions: [{version: 3}, {version: 3}]}":                "spec.versions[1].version: 3 is there twice",
		"spec: {versions: [{version: 3, weight: -1}]}":                  "spec.versions[0].weight: is -1, expected 0 to 100",
		"spec: {sticky: {cookie: a, header: b}}":                        "spec.sticky: want exactly one of cookie, header and query",
		"spec: {sticky: {header: b, ttl: 1m}}":                          "spec.sticky.ttl: has a meaning with cookie only",
		"spec: {sticky: {cookie: \"a b\"}}":                             "spec.sticky.cookie",
		"spec: {rules: [{version: 3}]}":                                 "spec.rules[0]: want exactly one of header, claim and cookie",
		"spec: {rules: [{header: a}]}":                                  "spec.rules[0].version: is required",
		"spec: {rules: [{header: a, regex: \"(\", version: 3}]}":        "spec.rules[0].regex: error parsing",
		"spec: {rules: [{header: a, value: x, prefix: y, version: 3}]}": "spec.rules[0]: has several",
		"kind: Alia": `unknown value "Alia", did you mean`,
	} {
		_, err := ParseAlias("a", []byte(text))
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "a:1", "line 1"), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestAliasNeedsAHundred(t *testing.T) {
	for _, c := range []struct {
		weights []float64
		want    string
	}{
		{[]float64{33.3, 33.3, 33.4}, ""}, {[]float64{0}, ""}, {[]float64{100, 0}, ""},
		{[]float64{50}, "add up to 50"}, {[]float64{50, 51}, "add up to 101"}, {nil, "at least one version"},
	} {
		a := Alias{Metadata: Metadata{Name: "prod"}, Spec: AliasSpec{Function: "hello"}}
		for i, w := range c.weights {
			a.Spec.Versions = append(a.Spec.Versions, Weighted{VersionLabel(i + 1), w})
		}
		AliasDefaults(&a)
		err := ValidateAlias(a)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.weights, err, c.want)
		}
	}
}

func TestParseMapping(t *testing.T) {
	m, err := ParseMapping("m.yaml", []byte("metadata: {name: orders}\nspec: {function: hello, version: 3, source: {kind: kafka, url: b, attributes: {topics: [t]}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	MappingDefaults(&m)
	if err := ValidateMapping(m); err != nil || m.Spec.Source.Name != "orders" || m.Spec.Version != "3" || m.Kind != MappingKind {
		t.Errorf("%+v, %v", m, err)
	}
	for text, want := range map[string]string{
		"spec: {alias: prod, version: 3}":               "spec.version: is given beside alias",
		"spec: {alias: \"3\"}":                          "spec.alias: \"3\" is a number",
		"spec: {source: {kind: kafka, numWorkers: -1}}": "spec.source.numWorkers: is -1",
		"spec: {sorce: {}}":                             "did you mean source?",
	} {
		if _, err := ParseMapping("m", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	err = ValidateMapping(Mapping{Spec: MappingSpec{Source: Trigger{Password: "***"}}})
	for _, want := range []string{"metadata.name", "spec.function", "spec.source.kind", "spec.source.password"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not asked for: %v", want, err)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]int{"": 0, Latest: 0, "1": 1, "42": 42} {
		if n, err := ParseVersion(s); err != nil || n != want {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"0", "-1", "01", "v1", "1.0", "latest", "99999999999999999999"} {
		if n, err := ParseVersion(s); err == nil {
			t.Errorf("%q is read as %d", s, n)
		}
	}
}
