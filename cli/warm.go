package cli

import (
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/platform/local"
)

// mostWarm is how many processors of a runtime may be parked at most.
const mostWarm = 1000

// warmth reads the values of --warm: none at all is the default.
func warmth(values []string) (map[string]int, error) {
	if len(values) == 0 {
		return local.DefaultWarm(), nil
	}
	if len(values) == 1 && values[0] == "none" {
		return nil, nil
	}
	out := map[string]int{}
	for _, text := range values {
		kind, number, _ := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		if err != nil || kind == "" || n < 0 || n > mostWarm {
			return nil, usage("--warm %s: want none, or a runtime and a number up to %d such as python=2", text, mostWarm)
		}
		if kind == "go" {
			kind = "golang"
		}
		out[kind] = n
	}
	return out, nil
}
