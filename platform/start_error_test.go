package platform

import (
	"strings"
	"testing"
)

func TestLastWord(t *testing.T) {
	for _, c := range []struct {
		log  []string
		want string
	}{
		{nil, ""},
		{[]string{"", "  "}, ""},
		{[]string{"panic: no", ""}, "panic: no"},
		{[]string{`time=2026-01-02T03:04:05.000Z level=ERROR msg="Traceback\n  File x\nValueError: planted" function=f worker=0`}, "ValueError: planted"},
		{[]string{`{"time":"2026-01-02T03:04:05Z","level":"ERROR","msg":"processor ends","error":"open pool: no database"}`}, "processor ends: open pool: no database"},
		{[]string{strings.Repeat("x", 300)}, strings.Repeat("x", 200) + "..."},
	} {
		if got := LastWord(c.log); got != c.want {
			t.Errorf("%q: %q, want %q", c.log, got, c.want)
		}
	}
}
