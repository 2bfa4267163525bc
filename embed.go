// Package myelin embeds the sources of its own module that a Go function is
// compiled together with, so that one program builds functions on a machine
// where Myelin's sources are not. It holds nothing else and imports nothing of
// the house.
package myelin

import "embed"

// Sources are the module's files that a processor is compiled from, with their
// tests, by the paths that they have in the module.
//
//go:embed go.mod go.sum
//go:embed asyncapi binding component dealer document event function gateway/wire processor quantity trigger
//go:embed cmd/processor all:runtime all:sdk
var Sources embed.FS
