// Package c runs functions written in C that are compiled into this program:
// in the caller's goroutine, by one call through cgo, with no copy of the event
// and no allocation. It knows nothing of how they were compiled; build/golang
// does that. sdk/c/myelin.h is what their authors see.
//
// What C breaks is broken for the whole process: a fault in a function is not
// its event's outcome but the end of the processor, which its platform starts
// again.
package c
