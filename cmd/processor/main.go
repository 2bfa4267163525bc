// Command processor runs functions that are not compiled into it: Python,
// JavaScript and shell. It has every trigger and data binding.
package main

import (
	"os"

	"github.com/myelin-run/myelin/processor/program"
)

func main() {
	os.Exit(program.Main(program.Options{Triggers: triggers, Runtimes: runtimes, Bindings: bindings}))
}
