package nodejs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm"
)

// Config is the runtimeAttributes of a JavaScript function.
type Config struct {
	// Interpreter is the path or name of the Node.js to use. Default: what the
	// spec's runtime asks for ("nodejs:20"), else node in PATH.
	Interpreter string `json:"interpreter,omitempty"`
	// Options go to Node.js before the program, as ["--max-old-space-size=512"].
	Options []string `json:"options,omitempty"`
	// Async true gives a worker AsyncConcurrency events at once, false as many
	// as its handler is fast. Default: whether the handler is an async function.
	Async *bool `json:"async,omitempty"`
	// AsyncConcurrency is how many events such a worker serves at once. Default 64.
	AsyncConcurrency int `json:"asyncConcurrency,omitempty"`
	// Spin true has workers wait awake, for 50 µs at most, for the next event,
	// and their callers for the answer, where there are processors to spare: a
	// call takes a few microseconds and two processors. Default false.
	Spin bool `json:"spin,omitempty"`
	// ParseJSON true makes event.body the parsed value where the content type
	// is application/json. Default false: Nuclio's functions parse it themselves.
	ParseJSON bool `json:"parseJSON,omitempty"`
	// Arena is the size of each half of the shared memory for large bodies;
	// only what is used takes memory. A power of two; default 16Mi.
	Arena quantity.Size `json:"arena,omitempty"`
	// MaxBody is the largest event and the largest response. Default 256Mi.
	MaxBody quantity.Size `json:"maxBody,omitempty"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.AsyncConcurrency < 0 || c.AsyncConcurrency > 128 {
		return errors.New("asyncConcurrency: not between 1 and 128")
	}
	for _, o := range c.Options {
		if !strings.HasPrefix(o, "-") {
			return fmt.Errorf("options: %q is no option of Node.js, such as --max-old-space-size=512", o)
		}
	}
	return c.limits().Check()
}

func (c Config) limits() shm.Limits {
	return shm.Limits{Arena: int64(c.Arena), MaxBody: int64(c.MaxBody)}
}

// Factory makes the runtime of kind "nodejs".
func Factory() runtime.Factory {
	return component.Define("nodejs", "Runs JavaScript functions with Node.js, each worker in a process of its own.",
		func() Config { return Config{} }, New)
}
