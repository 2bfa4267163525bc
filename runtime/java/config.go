package java

import (
	"errors"
	"fmt"
	"strings"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm"
)

// Config is the runtimeAttributes of a Java function.
type Config struct {
	// Interpreter is the path of a java program, or of the directory of a JDK.
	// Default: what the spec's runtime asks for ("java:17"), else JAVA_HOME, else
	// java in PATH.
	Interpreter string `json:"interpreter,omitempty"`
	// JVMOptions go to the virtual machine before everything else, as ["-Xmx512m"].
	JVMOptions []string `json:"jvmOptions,omitempty"`
	// JavaOptions is another name for jvmOptions.
	JavaOptions []string `json:"javaOptions,omitempty"`
	// Threads above 0 calls the handler from up to so many threads at once,
	// virtual ones where Java has them (21 and later). Default 0: from one thread,
	// one event after another.
	Threads int `json:"threads,omitempty"`
	// Async true gives a worker AsyncConcurrency events at once, false as many
	// as its handler is fast. Default: whether the handler is declared to return
	// a CompletionStage, or has threads.
	Async *bool `json:"async,omitempty"`
	// AsyncConcurrency is how many events such a worker serves at once. Default:
	// threads, else 64.
	AsyncConcurrency int `json:"asyncConcurrency,omitempty"`
	// Spin true has workers wait awake, for 50 µs at most, for the next event,
	// and their callers for the answer, where there are processors to spare: a
	// call takes a few microseconds and two processors. Default false.
	Spin bool `json:"spin,omitempty"`
	// Arena is the size of each half of the shared memory for large bodies;
	// only what is used takes memory. A power of two up to 512Mi; default 16Mi.
	Arena quantity.Size `json:"arena,omitempty"`
	// MaxBody is the largest event and the largest response. Default 256Mi.
	MaxBody quantity.Size `json:"maxBody,omitempty"`
}

const (
	mostAtOnce = 128
	mostArena  = 512 << 20 // a mapping of Java's is below 2 GiB
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.AsyncConcurrency < 0 || c.AsyncConcurrency > mostAtOnce:
		return fmt.Errorf("asyncConcurrency: not between 1 and %d", mostAtOnce)
	case c.Threads < 0 || c.Threads > mostAtOnce:
		return fmt.Errorf("threads: not between 0 and %d", mostAtOnce)
	case int64(c.Arena) > mostArena:
		return errors.New("arena: above 512Mi, the most for Java")
	}
	for _, o := range c.options() {
		if !strings.HasPrefix(o, "-") || strings.HasPrefix(o, "-jar") || o == "-cp" || o == "-classpath" {
			return fmt.Errorf("jvmOptions: %q is no option of the virtual machine, such as -Xmx512m", o)
		}
	}
	return c.limits().Check()
}

func (c Config) options() []string {
	return append(append([]string(nil), c.JavaOptions...), c.JVMOptions...)
}

func (c Config) limits() shm.Limits {
	return shm.Limits{Arena: int64(c.Arena), MaxBody: int64(c.MaxBody)}
}

// depth is how many events an asynchronous worker has in flight; 0 is the default.
func (c Config) depth() int {
	if c.AsyncConcurrency == 0 || c.Threads > 0 && c.Threads < c.AsyncConcurrency {
		return c.Threads
	}
	return c.AsyncConcurrency
}

// Factory makes the runtime of kind "java".
func Factory() runtime.Factory {
	return component.Define("java", "Runs Java functions, each worker in a virtual machine of its own.",
		func() Config { return Config{} }, New)
}
