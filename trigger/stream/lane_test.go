package stream

import "testing"

// The id of a record says its shard and offset, whatever came before.
func TestIDsOfRecords(t *testing.T) {
	l := &lane{sh: &shard{prefix: "t-9-"}, named: -1}
	for _, c := range []struct {
		off  int64
		want string
	}{{0, "t-9-0"}, {1, "t-9-1"}, {8, "t-9-8"}, {9, "t-9-9"}, {10, "t-9-10"}, {11, "t-9-11"}, {99, "t-9-99"}, {100, "t-9-100"}, {101, "t-9-101"},
		{1999, "t-9-1999"}, {2000, "t-9-2000"}, {2000, "t-9-2000"}, {5, "t-9-5"}, {6, "t-9-6"}} {
		if got := string(l.name(c.off)); got != c.want {
			t.Errorf("offset %d: %s, want %s", c.off, got, c.want)
		}
	}
}
