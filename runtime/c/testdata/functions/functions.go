// Package functions holds C functions for the tests of runtime/c, whose own
// files cannot: the go tool takes no C in tests.
package functions

// #cgo CFLAGS: -I${SRCDIR}/../../../../sdk/c -O2 -Wall -Wextra -Werror
// #cgo LDFLAGS: -pthread
// #include "functions.h"
import "C"

import (
	"unsafe"

	_ "github.com/myelin-run/myelin/sdk/c" // this is compiled anew when the header changes
)

// Find returns the addresses of the handler of that name, of its form for lists and
// of its hooks, nil for those that there are not.
func Find(name string) (handler, batch, open, end unsafe.Pointer) {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	f := C.find(n)
	return f.handler, f.batch, f.init, f.close
}

// Released tells how many bodies were given back, and Closed how many workers
// were closed.
func Released() int { return int(C.released()) }

// Closed tells how many workers were closed.
func Closed() int { return int(C.closed()) }
