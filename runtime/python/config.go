package python

import (
	"errors"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm"
)

// Config is the runtimeAttributes of a Python function.
type Config struct {
	// Interpreter is the path or name of the Python to use. Default: what the
	// spec's runtime asks for ("python:3.11"), else python3 in PATH.
	Interpreter string `json:"interpreter,omitempty"`
	// Native false keeps to the worker's pure Python form. Default true.
	Native bool `json:"native"`
	// Arena is the size of each half of the shared memory for large bodies;
	// only what is used takes memory. A power of two; default 16Mi.
	Arena quantity.Size `json:"arena,omitempty"`
	// MaxBody is the largest event and the largest response. Default 256Mi.
	MaxBody quantity.Size `json:"maxBody,omitempty"`
	// AsyncConcurrency is how many events a worker with an async handler
	// serves at once. Default 64.
	AsyncConcurrency int `json:"asyncConcurrency,omitempty"`
	// Spin true has workers wait awake, for 50 µs at most, for the next event,
	// and their callers for the answer, where there are processors to spare: a
	// call takes a few microseconds and two processors. Default false.
	Spin bool `json:"spin,omitempty"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.AsyncConcurrency < 0 || c.AsyncConcurrency > 128 {
		return errors.New("asyncConcurrency: not between 1 and 128")
	}
	return c.limits().Check()
}

func (c Config) limits() shm.Limits {
	return shm.Limits{Arena: int64(c.Arena), MaxBody: int64(c.MaxBody)}
}

// Factory makes the runtime of kind "python".
func Factory() runtime.Factory {
	return component.Define("python", "Runs Python functions, each worker in a process of its own.",
		func() Config { return Config{Native: true} }, New)
}
