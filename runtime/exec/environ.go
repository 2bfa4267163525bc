package exec

import (
	"os"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/function"
)

// Environ returns the environment of a function's process: what any program
// needs from the processor's own, Nuclio's variables, and the function's. A
// variable whose value comes from elsewhere (valueFrom) is the platform's to
// resolve and is left out.
func Environ(f function.Config) []string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
	for _, k := range []string{"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"} {
		if v, ok := os.LookupEnv(k); ok {
			env[k] = v
		}
	}
	host, _ := os.Hostname()
	env["NUCLIO_FUNCTION_NAME"] = f.Metadata.Name
	env["NUCLIO_FUNCTION_DESCRIPTION"] = f.Spec.Description
	env["NUCLIO_FUNCTION_VERSION"] = strconv.Itoa(f.Spec.Version)
	env["NUCLIO_FUNCTION_HANDLER"] = f.Spec.Handler
	env["NUCLIO_HANDLER"] = f.Spec.Handler
	env["NUCLIO_FUNCTION_INSTANCE"] = host
	for _, v := range f.Spec.Env {
		if len(v.ValueFrom) == 0 {
			env[v.Name] = v.Value
		}
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	return out
}

// SourceDir is where the handler files of the artefact in dir lie: its src
// folder, or dir itself if it has none.
func SourceDir(dir string) string {
	if src := dir + "/src"; isDir(src) {
		return src
	}
	return dir
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// NoNUL returns s up to its first NUL byte: the kernel takes no more, and
// would refuse the whole environment.
func NoNUL(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}
