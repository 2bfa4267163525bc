// Package shm is the shared-memory channel between the processor and one
// worker process, whatever the worker's language. It is in layers: package wire
// (how metadata is written), package ring (single producer, single consumer,
// over a byte slice), and here the mapping's layout, buddy (who owns which part
// of an arena) and Instance, which starts the process, shares the mapping with it and turns
// calls into entries. Its format is published in docs/reference/shared-memory.md.
//
// Everything that the worker can write is hostile: each word is copied once
// and checked, and a violation kills the worker. The package knows no language
// and no trigger.
package shm
