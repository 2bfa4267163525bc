//go:build !cgo

package soak

// cLanguage is nil: without cgo there are no functions in C.
func cLanguage() *language { return nil }
