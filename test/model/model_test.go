package main

import "testing"

// The protocol holds and planted mistakes are found, in the small searches.
// `make verify` makes the large ones and plants every mistake.
func TestModels(t *testing.T) {
	all := searches(true)
	for i, f := range checkAll(t.Context(), all) {
		if f.err != nil {
			t.Errorf("%s: expected %s, found %s: %v", all[i], all[i].expected(), f.what(), f.err)
		}
		t.Logf("%s: %d states, %s", all[i], f.states, f.what())
	}
}

// A report that says nothing is no proof.
func TestParse(t *testing.T) {
	if _, err := parse([]byte("spin crashed")); err == nil {
		t.Error("an empty report was believed")
	}
	f, err := parse([]byte("pan:1: assertion violated (a==b) (at depth 3)\nState-vector 9 byte, depth reached 9, errors: 1\n   12 states, stored\n"))
	if err != nil || f.first != broken || f.states != 12 {
		t.Errorf("%+v, %v", f, err)
	}
}
