// Package nodejs holds what the author of a JavaScript function may import, so
// that the processor can bring it along. It knows no runtime.
package nodejs

import "embed"

// Files are the packages, each in a directory of its name.
//
//go:embed myelin/*
var Files embed.FS
