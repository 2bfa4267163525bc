package sql

import "testing"

// A cursor that somebody else wrote is read or refused, and what is read is
// written as what is read again.
func TestForeignCursors(t *testing.T) {
	for cursor, good := range map[string]bool{
		`["i7"]`: true, `["t2026-03-01T12:00:00.5+01:00","sa"]`: true, `["bAAE=","u1"]`: true, `["s"]`: true,
		`[""]`: false, `["x"]`: false, `["i"]`: false, `["i9223372036854775808"]`: false, `["tyesterday"]`: false, `["b?"]`: false,
		`[]`: false, `{}`: false, `null`: false, `["i1","i2","i3"]`: false, "\xff": false, `[7]`: false,
	} {
		values, err := valuesOf(cursor, 2)
		if (err == nil) != good {
			t.Errorf("%q: %v", cursor, err)
		}
		if err != nil {
			continue
		}
		again, err := cursorOf(values...)
		if err != nil {
			t.Fatal(err)
		}
		same, err := valuesOf(again, 2)
		if err != nil {
			t.Fatalf("%q is %q again: %v", cursor, again, err)
		}
		if third, err := cursorOf(same...); err != nil || third != again {
			t.Errorf("%q, then %q, %v", again, third, err)
		}
	}
}
