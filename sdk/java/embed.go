// Package java holds what the author of a Java function compiles against:
// Nuclio's interfaces, so that its functions run as they are, and Myelin's own.
// It knows no runtime.
package java

import "embed"

// Files are the sources, below src, by package.
//
//go:embed src
var Files embed.FS
