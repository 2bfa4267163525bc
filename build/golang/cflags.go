package golang

import (
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
)

// cFlags are spec.build.flags of a C function, for the compiler and the linker.
type cFlags struct {
	compile, link []string
	dynamic       bool // link with shared libraries
}

// dynamicFlag is a word of ours: the rest are the compiler's.
const dynamicFlag = "-dynamic"

// allowedC are the flags that change what is compiled and nothing else: others
// can load plugins, and read and write files of this machine.
var allowedC = []*regexp.Regexp{
	regexp.MustCompile(`^-(O[0-3sgz]?|Ofast|g[0-3]?|pthread|pedantic|pedantic-errors|w|ansi)$`),
	regexp.MustCompile(`^-std=[a-z0-9]+$`),
	regexp.MustCompile(`^-[DU][A-Za-z_][A-Za-z0-9_]*(=[A-Za-z0-9_.,:/+-]*)?$`),
	regexp.MustCompile(`^-I[A-Za-z0-9_][A-Za-z0-9_./-]*$`),
	regexp.MustCompile(`^-W[a-z][A-Za-z0-9+=-]*$`),
	regexp.MustCompile(`^-f[a-z][a-z0-9-]*(=[a-z0-9-]+)?$`),
	regexp.MustCompile(`^-m[a-z][A-Za-z0-9.-]*(=[A-Za-z0-9+.-]+)?$`),
}

var (
	allowedLink = regexp.MustCompile(`^-l[A-Za-z0-9_+.-]+$`)
	refusedC    = regexp.MustCompile(`^-f(plugin|dump|profile|auto-profile|callgraph|stack-usage|save|sanitize|lto|debug|file-prefix|macro-prefix)|^-I.*\.\.`)
)

// cFlagsOf checks and sorts spec.build.flags.
func cFlagsOf(flags []string) (out cFlags, err error) {
	for _, f := range flags {
		f = strings.TrimSpace(f)
		switch {
		case f == dynamicFlag:
			out.dynamic = true
		case allowedLink.MatchString(f):
			out.link = append(out.link, f)
		case !refusedC.MatchString(f) && slices.ContainsFunc(allowedC, func(r *regexp.Regexp) bool { return r.MatchString(f) }):
			if dir, ok := strings.CutPrefix(f, "-I"); ok {
				f = "-I${SRCDIR}/" + dir
			}
			out.compile = append(out.compile, f)
		default:
			return out, &build.Error{Msg: "spec.build.flags: " + f + " is not one of -O..., -g, -std=..., -Dname=value, -Uname, -W..., -f..., -m..., " +
				"-Idirectory (of the sources), -llibrary, -pthread and -dynamic"}
		}
	}
	return out, nil
}

// linker are the flags of Go's linker.
func (f cFlags) linker(debug bool) string {
	var all []string
	if !debug {
		all = append(all, "-s", "-w")
	}
	all = append(all, "-linkmode=external")
	if !f.dynamic {
		all = append(all, "-extldflags=-static")
	}
	return strings.Join(all, " ")
}
