package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// outputFile takes what replicas print: mostly what comes before their own log
// is open, and what the language prints when it breaks.
const (
	outputFile  = "output.log"
	outputLimit = 8 << 20
)

// openOutput opens the output for appending. A large one is moved aside first,
// which lets the processes that have it open write on.
func openOutput(dir string) (*os.File, error) {
	path := filepath.Join(dir, outputFile)
	if st, err := os.Stat(path); err == nil && st.Size() > outputLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rotate output: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	return f, nil
}

// trimOutput empties an output that its writers made large. They append, so
// they go on at the new end.
func trimOutput(dir string) error {
	path := filepath.Join(dir, outputFile)
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && st.Size() <= outputLimit {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Truncate(path, 0)
}
