// Package csdk holds the headers that functions in C include. What compiles
// against one imports this package, so that the go tool sees a header change.
package csdk

import _ "embed"

// Header is myelin.h, TestHeader myelin_test.h.
var (
	//go:embed myelin.h
	Header []byte
	//go:embed myelin_test.h
	TestHeader []byte
)
