package servers

import (
	"fmt"
	"os"
	"path/filepath"
)

// installHint is the end of every complaint about what is missing.
const installHint = "install it with: scripts/servers.sh"

// find returns the first of the paths that exists.
func find(what string, paths ...string) (string, error) {
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (looked for %v); %s", what, paths, installHint)
}

// fetched finds what scripts/servers.sh keeps by version outside the clone:
// in MYELIN_SERVERS if that is set, else where root put it for all, else in the
// user's own cache.
func fetched(name string) (string, error) {
	if dir := os.Getenv("MYELIN_SERVERS"); dir != "" {
		return find(name, filepath.Join(dir, name))
	}
	places := []string{filepath.Join("/var/cache/myelin/servers", name)}
	if dir, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(dir, "myelin", "servers", name))
	}
	return find(name, places...)
}
