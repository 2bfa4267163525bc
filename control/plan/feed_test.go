package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/function"
)

func mapping(name, target, kind string) function.Mapping {
	m := function.Mapping{Metadata: function.Metadata{Name: name}, Spec: function.MappingSpec{Function: "f", Source: function.Trigger{Kind: kind}}}
	switch v, err := function.ParseVersion(target); {
	case target == "":
	case err == nil:
		m.Spec.Version = function.VersionLabel(v)
	default:
		m.Spec.Alias = target
	}
	return m
}

func owned(trigger, target, kind string) function.Mapping {
	m := mapping(Owned("f", trigger, false), target, kind)
	m.Spec.Owner, m.Metadata.Annotations = Owner("f"), map[string]string{TriggerAnnotation: trigger}
	return m
}

func alias(name string, effective bool, weights ...string) function.Alias {
	a := function.Alias{Metadata: function.Metadata{Name: name}, Spec: function.AliasSpec{Function: "f"}}
	for _, w := range weights {
		var v function.Weighted
		label, weight, _ := strings.Cut(w, "=")
		v.Version = label
		_, _ = fmt.Sscan(weight, &v.Weight)
		a.Spec.Versions = append(a.Spec.Versions, v)
	}
	if effective {
		spec := a.Spec
		a.Status.Effective = &spec
	}
	return a
}

// fedAs writes what a version gets: "kafka=1 tick=0".
func fedAs(f Feeds, n int) string {
	shares := f.Shares(n)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f.Sources(n))) {
		out = append(out, fmt.Sprintf("%s=%.3g", name, shares.Of(name).Part))
	}
	return strings.Join(out, " ")
}

func TestFeeds(t *testing.T) {
	kafka := function.Trigger{Kind: "kafka"}
	for name, c := range map[string]struct {
		triggers string
		mappings []function.Mapping
		aliases  []function.Alias
		want     map[int]string
	}{
		"deployed before there were mappings": {"in:kafka web:http", nil, nil, map[int]string{0: "in=1", 1: ""}},
		"a function alone":                    {"in:kafka web:http", []function.Mapping{owned("in", "", "kafka")}, nil, map[int]string{0: "in=1", 1: ""}},
		"follows an alias":                    {"in:kafka", []function.Mapping{owned("in", "prod", "kafka")}, []function.Alias{alias("prod", true, "2=100")}, map[int]string{0: "in=0", 1: "in=0", 2: "in=1"}},
		"by weight":                           {"", []function.Mapping{mapping("in", "prod", "kafka")}, []function.Alias{alias("prod", true, "1=90", "2=10")}, map[int]string{0: "", 1: "in=0.9", 2: "in=0.1", 3: "in=0"}},
		"the clock goes to most":              {"", []function.Mapping{mapping("tick", "prod", "cron")}, []function.Alias{alias("prod", true, "1=40", "2=60")}, map[int]string{1: "tick=0", 2: "tick=1"}},
		"of halves the first":                 {"", []function.Mapping{mapping("tick", "prod", "cron")}, []function.Alias{alias("prod", true, "3=50", "2=50")}, map[int]string{2: "tick=0", 3: "tick=1"}},
		"a version":                           {"", []function.Mapping{mapping("in", "2", "kafka")}, nil, map[int]string{0: "", 1: "", 2: "in=1"}},
		"the working copy by an alias":        {"", []function.Mapping{mapping("in", "prod", "kafka")}, []function.Alias{alias("prod", true, "$latest=50", "2=50")}, map[int]string{0: "in=0.5", 2: "in=0.5"}},
		"an alias that waits":                 {"", []function.Mapping{mapping("in", "prod", "kafka")}, []function.Alias{alias("prod", false, "2=100")}, map[int]string{1: "in=0", 2: "in=0"}},
		"an alias that is not there":          {"", []function.Mapping{mapping("in", "prd", "kafka")}, nil, map[int]string{0: "", 2: "in=0"}},
		"several to one":                      {"in:kafka", []function.Mapping{owned("in", "", "kafka"), mapping("other", "", "rabbitmq"), mapping("web", "", "http")}, nil, map[int]string{0: "in=1 other=1"}},
		"a name that is the file's":           {"in:kafka", []function.Mapping{mapping("in", "", "rabbitmq"), owned("in", "1", "kafka")}, nil, map[int]string{0: "in=0", 1: "in=1"}},
	} {
		f := Feeds{Function: "f", Triggers: map[string]function.Trigger{}, Mappings: c.mappings, Aliases: c.aliases}
		for _, word := range strings.Fields(c.triggers) {
			trigger, kind, _ := strings.Cut(word, ":")
			f.Triggers[trigger] = function.Trigger{Kind: kind}
		}
		for n, want := range c.want {
			if got := fedAs(f, n); got != want {
				t.Errorf("%s: version %d gets %q, want %q", name, n, got, want)
			}
		}
	}
	disabled := owned("in", "", "kafka")
	disabled.Spec.Disabled = true
	f := Feeds{Function: "f", Triggers: map[string]function.Trigger{"in": kafka}, Mappings: []function.Mapping{disabled}}
	if got := fedAs(f, 0); got != "in=0" || f.Targets(disabled) != nil {
		t.Errorf("disabled: %q", got)
	}
}

// A function that has no mapping but its own, which nobody changed, runs what
// its function.yaml says: no processor is replaced.
func TestOwnMappingsChangeNothing(t *testing.T) {
	for _, text := range []string{"", "  triggers: {web: {kind: http}, in: {kind: kafka, attributes: {topics: [a]}}, off: {kind: cron, disabled: true, attributes: {interval: 1s}}}\n"} {
		l, err := function.Parse("function.yaml", []byte("metadata: {name: f}\nspec:\n  runtime: golang\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		cfg := l.Config
		before, err := For(cfg)
		if err != nil {
			t.Fatal(err)
		}
		f := Feeds{Function: "f", Triggers: cfg.Spec.Triggers}
		for name, trigger := range cfg.Spec.Triggers {
			if trigger.Kind != "http" {
				m := owned(name, "", trigger.Kind)
				m.Spec.Source = trigger
				f.Mappings = append(f.Mappings, m)
			}
		}
		after, err := For(f.Fed(cfg, 0))
		if err != nil || before != after {
			t.Errorf("%+v became %+v, %v", before, after, err)
		}
		if shares := f.Shares(0); shares.Of("in").Part != 1 || len(shares) > 1 {
			t.Errorf("shares %v", shares)
		}
	}
}

func TestOwned(t *testing.T) {
	long := strings.Repeat("x", 63)
	seen := map[string]string{}
	for _, c := range []struct {
		fn, trigger string
		apart       bool
		want        string // "": any label
	}{
		{"orders", "kafka", false, "orders-kafka"}, {"orders", "kafka", true, ""}, {"orders", "my_Queue", false, ""}, {"orders", "my-queue", false, "orders-my-queue"},
		{long, "t", false, ""}, {long, "u", false, ""}, {"a", "é", false, ""}, {"a", "b-c", true, ""}, {"a-b", "c", true, ""},
	} {
		got := Owned(c.fn, c.trigger, c.apart)
		if c.want != "" && got != c.want || !labelForm.MatchString(got) || len(got) > 63 {
			t.Errorf("%s, %s: %q", c.fn, c.trigger, got)
		}
		if by := seen[got]; by != "" {
			t.Errorf("%s is of %s and of %s/%s", got, by, c.fn, c.trigger)
		}
		seen[got] = c.fn + "/" + c.trigger
	}
}

func TestDivides(t *testing.T) {
	for text, want := range map[string]bool{
		`{"kind":"kafka"}`: true, `{"kind":"kafka","attributes":{"instanceID":"a"}}`: false, `{"kind":"cron"}`: false, `{"kind":"rabbitmq"}`: true,
		`{"kind":"mqtt"}`: false, `{"kind":"mqtt","attributes":{"group":"g"}}`: true, `{"kind":"nats","attributes":{"broadcast":true}}`: false, `{"kind":"nats"}`: true, `{"kind":"redisPubSub"}`: false, `{"kind":"redisList"}`: true,
		`{"kind":"kafka","attributes":{"group":7}}`: true,
		`{"kind":"sql","attributes":{"table":"t"}}`: true, `{"kind":"sql","attributes":{"table":"t","assignment":"all"}}`: false, `{"kind":"outbox"}`: true,
	} {
		var trigger function.Trigger
		if err := json.Unmarshal([]byte(text), &trigger); err != nil {
			t.Fatal(err)
		}
		if got := Divides(trigger); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// Between what was and what shall be, nobody has less of what is divided than
// he had or will have, and nobody more of what is not.
func TestHandover(t *testing.T) {
	part := func(p float64) function.Share { return function.Share{Part: p} }
	sources := map[string]function.Trigger{"in": {Kind: "kafka"}, "tick": {Kind: "cron"}}
	have := map[int]function.Shares{1: {}, 2: {"in": part(0), "tick": part(0)}}
	want := map[int]function.Shares{1: {"in": part(0), "tick": part(0)}, 2: {}}
	got := Handover(have, want, sources)
	if d := cmp.Diff(map[int]function.Shares{1: {"tick": part(0)}, 2: {"tick": part(0)}}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want, Handover(want, want, sources)); d != "" {
		t.Error(d)
	}
}

// Who is late keeps the others where they are; who only takes less is not
// waited for.
func TestHold(t *testing.T) {
	part := func(p float64) function.Share { return function.Share{Part: p} }
	sources := map[string]function.Trigger{"in": {Kind: "kafka"}, "other": {Kind: "kafka"}}
	have := map[int]function.Shares{1: {}, 2: {"in": part(0), "other": part(0)}}
	moved := func() map[int]function.Shares {
		return map[int]function.Shares{1: {"in": part(0), "other": part(0)}, 2: {}}
	}
	want := moved()
	Hold(have, Handover(have, want, sources), want, map[int]map[string]string{2: {"in": "connecting"}})
	if d := cmp.Diff(map[int]function.Shares{1: {"other": part(0)}, 2: {}}, want); d != "" {
		t.Error(d)
	}
	less := map[int]function.Shares{1: {"in": part(0)}, 2: {"in": part(0), "other": part(0)}}
	Hold(have, Handover(have, less, sources), less, map[int]map[string]string{1: {"in": "connecting"}})
	if d := cmp.Diff(map[int]function.Shares{1: {"in": part(0)}, 2: {"in": part(0), "other": part(0)}}, less); d != "" {
		t.Error(d)
	}
}
