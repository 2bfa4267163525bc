package python

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// recorded returns the interpreter for which the artefact in dir was made, ""
// if it does not say or this user cannot run it: its packages may fit no other.
func recorded(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "interpreter"))
	if err != nil {
		return ""
	}
	path := strings.TrimSpace(string(text))
	if !filepath.IsAbs(path) || unix.Access(path, unix.X_OK) != nil {
		return ""
	}
	return path
}
