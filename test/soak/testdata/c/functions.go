// Package c holds the C function of the soak, whose own files cannot: the go
// tool takes no C in tests.
package c

// #cgo CFLAGS: -I${SRCDIR}/../../../../sdk/c -O2 -Wall -Wextra -Werror
// #include "honest.h"
import "C"

import (
	"unsafe"

	_ "github.com/myelin-run/myelin/sdk/c" // this is compiled anew when the header changes
)

// Honest returns the addresses of the handler and of its hooks.
func Honest() (handler, open, end unsafe.Pointer) {
	f := C.honest()
	return f.handler, f.init, f.close
}
