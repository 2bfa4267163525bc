// Command myelin is the command line, and with `up` the control plane.
package main

import (
	"os"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/object/s3"
	streamkafka "github.com/myelin-run/myelin/binding/stream/kafka"
	streammqtt "github.com/myelin-run/myelin/binding/stream/mqtt"
	streamnats "github.com/myelin-run/myelin/binding/stream/nats"
	streamrabbitmq "github.com/myelin-run/myelin/binding/stream/rabbitmq"
	streamredis "github.com/myelin-run/myelin/binding/stream/redis"
	"github.com/myelin-run/myelin/cli"
	"github.com/myelin-run/myelin/runtime/python"
)

// version is set by the linker; without it the module's own is shown.
var version string

// objects are the stores over whose objects jobs can be run.
var objects = binding.NewSet(s3.Factory())

// streams are the bindings that send messages: they are described, and never opened.
var streams = binding.NewSet(
	streamkafka.Factory(),
	streammqtt.Factory(),
	streamnats.Factory(),
	streamrabbitmq.Factory(),
	streamredis.Factory(),
)

func main() {
	os.Exit(cli.Main(cli.Parts{Version: version, Triggers: triggers, Runtimes: runtimes, Builders: builders, Objects: objects, Streams: streams, Cache: python.CacheDir, Workers: workers}))
}
