package servers

import "path/filepath"

// cycloneDXRelease of CycloneDX's library, which has the schemas, is what
// scripts/servers.sh installs.
const cycloneDXRelease = "10.3.0"

// CycloneDXSchemas returns the directory with the JSON schemas of CycloneDX.
func CycloneDXSchemas() (string, error) {
	dir, err := fetched("cyclonedx-" + cycloneDXRelease)
	return filepath.Join(dir, "schema"), err
}
