package servers

import "path/filepath"

// asyncAPIRelease of AsyncAPI's schemas is what scripts/servers.sh installs.
const asyncAPIRelease = "6.11.1"

// AsyncAPISchema returns the file with the JSON schema of AsyncAPI 3.0 documents.
func AsyncAPISchema() (string, error) {
	dir, err := fetched("asyncapi-" + asyncAPIRelease)
	return filepath.Join(dir, "3.0.0.json"), err
}
