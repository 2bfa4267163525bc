package golang

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/tool"
)

var (
	placedC   = regexp.MustCompile(`^(?:\./)?([^\s:]+\.(?:c|h|inc)):(\d+)(?::(\d+))?: (?:fatal )?error: (.*)$`)
	undefined = regexp.MustCompile("undefined reference to [`']([^`']+)'")
	duplicate = regexp.MustCompile("multiple definition of [`']([^`']+)'")
	noLibrary = regexp.MustCompile(`cannot find -l(\S+?):? `)
	placedLD  = regexp.MustCompile(`(?m)^(?:\S*/)?([^\s:/]+\.c):(\d+): (?:undefined reference|multiple definition)`)
	// What the linker's own command line and files are called is no news.
	ownNoise = regexp.MustCompile(`(?m)^\S*(?:/link: running |/gcc -m).*\n|\S*/go-link-\d+/|/_/` + regexp.QuoteMeta(madeUp) + `/|\S*/go-build/`)
)

// cForm is what a handler looks like, and cListForm one that takes lists.
const (
	cForm     = "int %s(myelin_context *ctx, const myelin_event *ev, myelin_response *out)"
	cListForm = "int %s(myelin_context *ctx, const myelin_event *evs, myelin_response *outs, size_t n)"
)

// cError makes of what the compiler and the linker printed a mistake of the
// user's, with its place if there is one.
func cError(err error, dir, work, handler string) error {
	var failed *tool.Failed
	if !errors.As(err, &failed) {
		return err
	}
	output := ownNoise.ReplaceAllString(withoutDirs(failed.Output, work, work), "")
	e := &build.Error{Msg: "the C compiler failed: " + tool.Tail(output, 3), Output: output}
	if compileCError(e, output, dir, handler) {
		return e
	}
	linkCError(e, output, handler)
	if m := placedLD.FindStringSubmatch(output); m != nil {
		placeC(e, dir, m[1], m[2])
	}
	return e
}

// linkCError says what the linker missed.
func linkCError(e *build.Error, output, handler string) {
	if m := undefined.FindStringSubmatch(output); m != nil && m[1] == handler {
		e.Msg = fmt.Sprintf("handler %s: there is no such function that is not static in any *.c file: expected "+cForm, handler, handler)
	} else if m != nil {
		e.Msg = fmt.Sprintf("undefined reference to %s: no *.c file has it; if a library does, name it in spec.build.flags, such as -lm", m[1])
	}
	if m := duplicate.FindStringSubmatch(output); m != nil {
		e.Msg = m[1] + " is defined twice"
	}
	if m := noLibrary.FindStringSubmatch(output); m != nil {
		e.Msg = fmt.Sprintf("there is no static library lib%s.a for -l%s: install it, or add %s to spec.build.flags to link with the shared one", m[1], m[1], dynamicFlag)
	}
}

// compileCError finds the compiler's first error.
func compileCError(e *build.Error, output, dir, handler string) bool {
	for line := range strings.Lines(output) {
		m := placedC.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[1] == "myelin.h" {
			continue
		}
		e.Msg = m[4]
		placeC(e, dir, m[1], m[2])
		e.Column, _ = strconv.Atoi(m[3])
		for name, form := range map[string]string{handler: cForm, handler + "_batch": cListForm} {
			if strings.Contains(e.Msg, "conflicting types for '"+name+"'") {
				e.Msg = fmt.Sprintf("handler %s has the wrong form: expected "+form, name, name)
			}
		}
		return true
	}
	return false
}

func placeC(e *build.Error, dir, file, line string) {
	e.File = file
	e.Line, _ = strconv.Atoi(line)
	if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil && filepath.IsLocal(file) {
		e.Text = lineOf(text, e.Line)
	}
}
