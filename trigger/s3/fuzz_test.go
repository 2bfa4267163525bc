package s3

import "testing"

// A place that somebody else wrote is read or refused.
func FuzzPlace(f *testing.F) {
	f.Add(`{"p":1,"s":2,"m":3,"a":"key"}`, []byte{})
	f.Add("", []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, cursor string, remembered []byte) {
		if p, err := parsePosition(cursor); err == nil {
			if again, err := parsePosition(p.cursor()); err != nil || again != p {
				t.Errorf("%+v, then %+v, %v", p, again, err)
			}
		}
		s, err := readSeen(remembered, 0)
		if err != nil {
			return
		}
		if again, err := readSeen(s.bytes(), 0); err != nil || len(again.prints) != len(s.prints) {
			t.Errorf("%d remembered, then %d, %v", len(s.prints), len(again.prints), err)
		}
	})
}
