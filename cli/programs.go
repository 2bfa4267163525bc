package cli

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build/artefact"
)

// reachable returns a path of program at which every user of this machine may
// run it. Functions run under users of their own, who cannot enter, say, a
// checkout below /root: such a program is copied to the data directory, under
// the digest of its content.
func reachable(data, program string) (string, error) {
	if os.Geteuid() != 0 || forAll(program) {
		return program, nil
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	base := filepath.Base(program)
	name := fmt.Sprintf("%s-%x", base, sha256.Sum256(text))[:len(base)+17]
	sound := func(dir string) bool {
		info, err := os.Stat(filepath.Join(dir, base))
		return err == nil && info.Size() == int64(len(text))
	}
	parent := filepath.Join(data, "programs")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	dir, _, err := artefact.Place(parent, name, sound, func(tmp string) error {
		return os.WriteFile(filepath.Join(tmp, base), text, 0o755)
	})
	if err != nil {
		return "", fmt.Errorf("copy %s to where functions may run it: %w", program, err)
	}
	return filepath.Join(dir, base), nil
}

// forAll tells whether others may run path and enter all directories above it.
func forAll(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for ; path != "/" && path != "."; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err != nil || info.Mode()&1 == 0 {
			return false
		}
	}
	return true
}
