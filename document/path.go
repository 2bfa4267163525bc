package document

import (
	"strconv"
	"strings"
)

// step is one part of a path: a name or an index.
type step struct {
	name    string
	index   int
	isIndex bool
}

// Join returns the path of the field name within path. A name that has dots or
// brackets is quoted: metadata.labels["example.com/team"].
func Join(path, name string) string {
	if name == "" || strings.ContainsAny(name, ".[]\" \t\r\n") {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func joinIndex(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func joinPaths(base, path string) string {
	if base == "" || path == "" || path[0] == '[' {
		return base + path
	}
	return base + "." + path
}

// splitPath reads a path. What it cannot read it takes as a name, so that
// looking it up fails rather than finding something else.
func splitPath(path string) []step {
	var steps []step
	for path != "" {
		if path[0] == '.' && len(steps) > 0 {
			path = path[1:]
		}
		if s, rest, ok := bracket(path); ok {
			steps, path = append(steps, s), rest
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end == 0 {
			return append(steps, step{name: path})
		}
		if end < 0 {
			end = len(path)
		}
		steps, path = append(steps, step{name: path[:end]}), path[end:]
	}
	return steps
}

func bracket(path string) (step, string, bool) {
	if !strings.HasPrefix(path, "[") {
		return step{}, path, false
	}
	if quoted, err := strconv.QuotedPrefix(path[1:]); err == nil {
		rest, closed := strings.CutPrefix(path[1+len(quoted):], "]")
		name, err := strconv.Unquote(quoted)
		return step{name: name}, rest, closed && err == nil
	}
	digits, rest, closed := strings.Cut(path[1:], "]")
	i, err := strconv.Atoi(digits)
	return step{index: i, isIndex: true}, rest, closed && err == nil && i >= 0 && digits[0] != '+'
}
