// Package crowd fills a store with many functions, versions and mappings, as
// they are after years, for tests and benchmarks of a control plane that starts
// on it. Nothing of it runs: the functions are disabled.
package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// Size is how many there are.
type Size struct{ Functions, VersionsOfEach, Mappings int }

// Full is the size at which the figures of the store are promised.
var Full = Size{Functions: 10_000, VersionsOfEach: 5, Mappings: 20_000}

// batch is how many entries go into one commit.
const batch = 100

type filler struct {
	s   store.Store
	ops []store.Op
}

// Fill writes everything into s, which has none of it.
func Fill(ctx context.Context, s store.Store, size Size) error {
	f := &filler{s: s}
	for i := range size.Functions {
		if err := f.function(ctx, fmt.Sprintf("fn-%05d", i), i, size.VersionsOfEach); err != nil {
			return err
		}
	}
	for i := range size.Mappings {
		m := function.Mapping{Metadata: function.Metadata{Name: fmt.Sprintf("m-%05d", i), Namespace: "default"}}
		m.Spec = function.MappingSpec{Function: fmt.Sprintf("fn-%05d", i%size.Functions), Disabled: true, Source: function.Trigger{Kind: "kafka", URL: "127.0.0.1:1"}}
		function.MappingDefaults(&m)
		if err := f.put(ctx, "mappings/default/"+m.Metadata.Name, m); err != nil {
			return err
		}
		if err := f.put(ctx, "mappings-of/default/"+m.Spec.Function+"/"+m.Metadata.Name, struct{}{}); err != nil {
			return err
		}
	}
	return f.flush(ctx)
}

func (f *filler) function(ctx context.Context, name string, i, versions int) error {
	cfg := function.Config{APIVersion: function.APIVersion, Kind: function.Kind}
	cfg.Metadata = function.Metadata{
		Name: name, Namespace: "default", Labels: map[string]string{"team": fmt.Sprint("team-", i%7), "tier": "backend"},
		Annotations: map[string]string{plan.ArtefactAnnotation: strings.Repeat("ab", 32)},
	}
	cfg.Spec.Runtime, cfg.Spec.Handler, cfg.Spec.Disable = "shell", "f.sh", true
	function.Defaults(&cfg)
	for v := 1; v <= versions; v++ {
		err := f.put(ctx, fmt.Sprintf("versions/default/%s/%09d", name, v), function.Version{
			Namespace: "default", Function: name, Number: v, Artefact: cfg.Metadata.Annotations[plan.ArtefactAnnotation], Config: cfg, Created: time.Now(),
		})
		if err != nil {
			return err
		}
	}
	if err := f.put(ctx, "functions/default/"+name, cfg); err != nil {
		return err
	}
	return f.put(ctx, "families/default/"+name, map[string]int{"last": versions})
}

func (f *filler) put(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if f.ops = append(f.ops, store.Op{Key: key, Value: b}); len(f.ops) < batch {
		return nil
	}
	return f.flush(ctx)
}

func (f *filler) flush(ctx context.Context) error {
	if len(f.ops) == 0 {
		return nil
	}
	_, err := f.s.Commit(ctx, f.ops...)
	f.ops = nil
	return err
}
