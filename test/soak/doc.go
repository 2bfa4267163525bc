// Package soak holds a test only: many events through each runtime and a
// worker pool while workers are killed, stopped and hostile. No event may be
// lost, run twice or get another's answer, and nothing may grow.
//
//	go test ./test/soak -timeout 0 -v -run 'Honest|Hostile' -args -runtime nodejs -events 10000000
package soak
