// Command myelin is the command line, and with `up` the control plane.
package main

import (
	"os"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/cli"
	"github.com/myelin-run/myelin/runtime/python"
)

// version is set by the linker; without it the module's own is shown.
var version string

// objects are the stores over whose objects jobs can be run.
var objects = binding.NewSet(s3.Factory())

func main() {
	os.Exit(cli.Main(cli.Parts{Version: version, Triggers: triggers, Runtimes: runtimes, Builders: builders, Objects: objects, Cache: python.CacheDir, Workers: workers}))
}
