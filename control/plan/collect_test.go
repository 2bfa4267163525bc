package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
)

func TestCollect(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var all []function.Version
	for i := range 10 { // one a day, the last one today
		v := function.Version{Number: i + 1, Created: now.Add(-time.Duration(9-i) * 24 * time.Hour)}
		v.Status.State = function.Stopped
		all = append(all, v)
	}
	all[0].Status.NamedBy = []string{"alias prod"}
	all[1].Status.State = function.Ready
	for _, c := range []struct {
		keep Keep
		want string
	}{
		{Keep{}, "[4 5 6 7 8 9 10]"}, {Keep{Newest: 4}, "[4 5 6]"}, {Keep{For: 36 * time.Hour}, "[4 5 6 7 8]"},
		{Keep{Newest: 4, For: 24 * 6 * time.Hour}, "[4]"}, {Keep{Newest: 100}, "[]"},
	} {
		got := []int{}
		for _, v := range Collect(all, map[int]bool{3: true}, c.keep, now) {
			got = append(got, v.Number)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v, want %s", c.keep, got, c.want)
		}
	}
}
