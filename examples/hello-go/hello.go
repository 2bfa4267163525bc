// Package hello is a function in Go.
package hello

import myelin "github.com/myelin-run/myelin/sdk/go"

// Handler greets whoever the event's body names.
func Handler(ctx *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
	name := ev.Body
	if len(name) == 0 {
		name = []byte("stranger")
	}
	out.Body = append(out.Body, "Hello, "...)
	out.Body = append(out.Body, name...)
	return nil
}
