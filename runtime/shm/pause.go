//go:build amd64 || arm64

package shm

// pause tells the processor that this is a loop that waits, so that another
// thread on the same core gets on.
func pause()
