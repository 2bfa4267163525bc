package python

import "context"

// Find returns the interpreter that a function would run with: its path and
// its version, such as "3.11.2". wanted is a path, a name, a version ("3.11"),
// or "" for any Python 3.
func Find(ctx context.Context, wanted string) (path, version string, err error) {
	it, err := findInterpreter(ctx, wanted)
	return it.path, it.version, err
}
