package component_test

import (
	"slices"
	"testing"

	"github.com/myelin-run/myelin/component"
)

func TestAlias(t *testing.T) {
	build := func(s string, _ struct{}) (string, error) { return s, nil }
	f := component.Define("ours", "It is found.", func() struct{} { return struct{}{} }, build)
	set := component.NewSet(f.Alias("theirs"))
	for _, kind := range []string{"ours", "theirs"} {
		got, err := set.Lookup(kind)
		if err != nil || got.Kind != "ours" {
			t.Errorf("%s: found %q, %v", kind, got.Kind, err)
		}
	}
	if want := []string{"ours", "theirs"}; !slices.Equal(set.Kinds(), want) {
		t.Errorf("kinds %q, want %q", set.Kinds(), want)
	}
}
