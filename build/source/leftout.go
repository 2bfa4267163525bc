package source

import (
	"slices"
	"strings"
)

// LeftOut says why a file of this path would be no part of the sources; "" if
// it would be one.
func LeftOut(path string) string {
	parts := strings.Split(path, "/")
	for _, part := range parts {
		if skipped[part] {
			return "what is in " + part + " is left by tools, and is no part of the sources"
		}
	}
	if len(parts) == 1 && (isConfigFile(path) || slices.Contains(buildFiles, path)) {
		return "it is the configuration, which is beside the code"
	}
	if path == IgnoreFile {
		return "it says what is no part of the sources, and is none itself"
	}
	return ""
}
