package route

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
)

func TestOf(t *testing.T) {
	for attributes, want := range map[string]string{
		``:                          "",
		`{"path": "/beta"}`:         "",
		`{"host": "a.example.com"}`: "",
		`{"hosts": ["*.example.com"], "methods": ["GET"], "headers": {"X-Beta": ""}, "exact": true}`: "",
		`{"path": "beta"}`:          `spec.source.attributes.path: "beta" is not a path`,
		`{"path": "/a?b"}`:          "is not a path",
		`{"host": "a b"}`:           "is not a host's name",
		`{"host": "*"}`:             "is not a host's name",
		`{"methods": ["GET /"]}`:    "is not a method",
		`{"headers": {"X Y": "1"}}`: "is not a header's name",
		`{"port": 80}`:              "port",
		`{`:                         "spec.source.attributes",
	} {
		m := function.Mapping{Metadata: function.Metadata{Name: "m", Namespace: "n"}, Spec: function.MappingSpec{Function: "f", Alias: "prod", Source: function.Trigger{Kind: "http", Attributes: []byte(attributes)}}}
		r, err := Of(m)
		if want == "" && (err != nil || r.Name != "m" || r.Target != Target{Namespace: "n", Function: "f", Alias: "prod"}) {
			t.Errorf("%s: %+v, %v", attributes, r, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", attributes, err, want)
		}
	}
}
