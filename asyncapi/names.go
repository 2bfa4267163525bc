package asyncapi

import (
	"fmt"
	"strings"
)

// clean is a name as a key of the document, which references can have as it is.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if isWord(r) || r == '.' {
			return r
		}
		return '-'
	}, name)
}

// isWord says whether a name of a parameter may have r.
func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// numbered tells several of one name apart.
func numbered(name string, i, of int) string {
	if of == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, i+1)
}

// unique is a key that is not there yet.
func unique(there map[string]object, key string) string {
	for i, k := 2, key; ; i++ {
		if _, taken := there[k]; !taken {
			return k
		}
		k = fmt.Sprintf("%s-%d", key, i)
	}
}

// address says where a channel is. In a document braces are parameters: those
// that are none are given as a parameter that has itself for its only value. An
// address in which that cannot be said is told in words.
func address(o object, c Channel) {
	if c.Address == "" {
		o["address"] = nil
		return
	}
	parameters := object{}
	rest := c.Address
	for {
		_, after, opened := strings.Cut(rest, "{")
		if !opened {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed || name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isWord(r) }) {
			o["address"], o["title"] = nil, c.Address
			return
		}
		if what, ok := c.Parameters[name]; ok {
			parameters[name] = object{"description": what}
		} else {
			parameters[name] = object{"enum": []any{"{" + name + "}"}, "default": "{" + name + "}"}
		}
		rest = behind
	}
	o["address"] = c.Address
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
}
