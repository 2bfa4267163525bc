// Package python runs Python functions: one CPython process per worker, fed
// through the shared-memory channel of runtime/shm. The worker's own code is
// embedded here and in sdk/python; its loop is a C extension that is compiled
// for the interpreter that is found, with a fallback in Python. The package
// knows no trigger and no platform.
package python
