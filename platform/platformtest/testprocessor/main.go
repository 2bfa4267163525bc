// Program testprocessor is the suite's small processor as a program of its own, for
// platforms on which the test binary cannot run.
package main

import (
	"os"

	"github.com/myelin-run/myelin/platform/platformtest"
)

func main() { os.Exit(platformtest.Processor()) }
