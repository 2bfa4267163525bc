package golang

import (
	"regexp"
	"strings"

	"github.com/myelin-run/myelin/build"
)

// allowed are the flags that change what is compiled and nothing else: others
// can name programs to run and files to write.
var allowed = []*regexp.Regexp{
	regexp.MustCompile(`^-tags=[A-Za-z0-9_.,]+$`),
	regexp.MustCompile(`^-gcflags=(-[NlBm] ?)+$`),
	regexp.MustCompile(`^-ldflags=((-s|-w|-X [A-Za-z0-9_./-]+=[^\s'"]*) ?)+$`),
}

// checkFlags checks spec.build.flags.
func checkFlags(flags []string) ([]string, error) {
	var out []string
	for _, f := range flags {
		f = strings.TrimSpace(f)
		if rest, ok := strings.CutPrefix(f, "--"); ok {
			f = "-" + rest
		}
		known := false
		for _, form := range allowed {
			known = known || form.MatchString(f)
		}
		if !known {
			return nil, &build.Error{Msg: "spec.build.flags: " + f + ` is not one of -tags=..., -gcflags=-N, -l, -m, and -ldflags=-X name=value`}
		}
		out = append(out, f)
	}
	return out, nil
}

func flagValue(flags []string, name string) (value string) {
	for _, f := range flags {
		if v, ok := strings.CutPrefix(f, "-"+name+"="); ok {
			value = v
		}
	}
	return value
}

func linkerFlags(flags []string) string { return flagValue(flags, "ldflags") }

func buildTags(flags []string) []string {
	if tags := flagValue(flags, "tags"); tags != "" {
		return strings.Split(tags, ",")
	}
	return nil
}
