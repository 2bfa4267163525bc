package servers

import "path/filepath"

// SchemathesisVersion is what scripts/servers.sh installs.
const SchemathesisVersion = "4.32.5"

// Schemathesis returns the Python that has schemathesis; it is run with
// -m schemathesis.cli.
func Schemathesis() (string, error) {
	dir, err := fetched("schemathesis-" + SchemathesisVersion)
	return filepath.Join(dir, "bin", "python"), err
}
