package cli

import (
	"maps"
	"testing"
)

func TestWarmth(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   map[string]int
		wrong  bool
	}{
		{[]string{"none"}, nil, false},
		{[]string{"python=3", "go=0"}, map[string]int{"python": 3, "golang": 0}, false},
		{[]string{"python"}, nil, true},
		{[]string{"python=-1"}, nil, true},
		{[]string{"python=1001"}, nil, true},
		{[]string{"=1"}, nil, true},
		{[]string{"none", "python=1"}, nil, true},
		{[]string{"python=many"}, nil, true},
	} {
		got, err := warmth(c.values)
		if (err != nil) != c.wrong || !maps.Equal(got, c.want) {
			t.Errorf("%v: got %v, %v", c.values, got, err)
		}
	}
}
