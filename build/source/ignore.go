package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/myelin-run/myelin/build"
)

// IgnoreFile names, in the manner of .gitignore, what is not part of the
// sources.
const IgnoreFile = ".myelinignore"

type ignoreRule struct {
	pattern *regexp.Regexp
	dirOnly bool
	keep    bool // the pattern began with !
}

type ignore []ignoreRule

func readIgnore(dir string) (ignore, error) {
	text, err := os.ReadFile(filepath.Join(dir, IgnoreFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", IgnoreFile, err)
	}
	return parseIgnore(string(text))
}

func parseIgnore(text string) (ignore, error) {
	var rules ignore
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var r ignoreRule
		line, r.keep = strings.CutPrefix(line, "!")
		line, r.dirOnly = strings.CutSuffix(line, "/")
		var err error
		if r.pattern, err = regexp.Compile(ignoreExpression(line)); err != nil {
			return nil, &build.Error{File: IgnoreFile, Line: i + 1, Text: line, Msg: "not a pattern"}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ignoreExpression translates a pattern. One with a slash before its end is
// anchored at the directory of the sources, others fit at any depth.
func ignoreExpression(pattern string) string {
	anchored := strings.Contains(pattern, "/")
	pattern = strings.TrimPrefix(pattern, "/")
	var b strings.Builder
	b.WriteString("^")
	if !anchored {
		b.WriteString("(?:.*/)?")
	}
	for len(pattern) > 0 {
		token, expr := ignoreToken(pattern)
		b.WriteString(expr)
		pattern = pattern[len(token):]
	}
	b.WriteString("$")
	return b.String()
}

func ignoreToken(p string) (token, expr string) {
	for _, t := range [][2]string{{"**/", "(?:.*/)?"}, {"**", ".*"}, {"*", "[^/]*"}, {"?", "[^/]"}} {
		if strings.HasPrefix(p, t[0]) {
			return t[0], t[1]
		}
	}
	if end := strings.IndexByte(p, ']'); p[0] == '[' && end > 1 {
		return p[:end+1], strings.Replace(p[:end+1], "[!", "[^", 1)
	}
	if p[0] == '\\' && len(p) > 1 {
		return p[:2], regexp.QuoteMeta(p[1:2])
	}
	return p[:1], quoteByte(p[0])
}

// quoteByte quotes ASCII; the bytes of other letters stay as they are.
func quoteByte(c byte) string {
	if c < 0x80 {
		return regexp.QuoteMeta(string(rune(c)))
	}
	return string([]byte{c})
}

// match tells whether the last rule that fits rel ignores it.
func (ig ignore) match(rel string, dir bool) (ignored bool) {
	for _, r := range ig {
		if (dir || !r.dirOnly) && r.pattern.MatchString(filepath.ToSlash(rel)) {
			ignored = !r.keep
		}
	}
	return ignored
}
