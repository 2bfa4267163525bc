// Package python holds what the author of a Python function imports, so that
// the processor can bring it along: nuclio_sdk, the same under the name
// myelin, and their common implementation. It knows no runtime.
package python

import "embed"

// Files are the packages, each in a directory of its name.
//
//go:embed all:_myelin_sdk/*.py all:nuclio_sdk/*.py all:myelin/*.py
var Files embed.FS
