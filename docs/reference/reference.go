// Package reference holds the JSON schemas of documents, which are made of the
// types of package function (make docs), for who serves them.
package reference

import "embed"

//go:embed *-schema.json
var files embed.FS

// Kinds are the kinds of documents that have a schema.
func Kinds() []string { return []string{"alias", "function", "mapping", "rollout"} }

// Schema returns the schema of a kind.
func Schema(kind string) ([]byte, bool) {
	text, err := files.ReadFile(kind + "-schema.json")
	return text, err == nil
}
