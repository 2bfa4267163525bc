//go:build cgo

package soak

import (
	"time"

	"github.com/myelin-run/myelin/runtime/c"
	functions "github.com/myelin-run/myelin/test/soak/testdata/c"
)

// cLanguage is C, which lies in this process as well and can only fail, or
// not return in time: what else goes wrong in C is the end of the processor.
func cLanguage() *language {
	var f c.Function
	f.Handler, f.Init, f.Close = functions.Honest()
	return &language{name: "c", factory: c.Factory(f), timeout: 500 * time.Millisecond, shares: map[string]int{"": 10}, short: 100_000,
		paths: []path{{"/stall", 1}, {"/permanent", 500}, {"/echo", 12_000}, {"/view", 12_000}, {"/raise", 1000}}}
}
