// Package witness is the function of the story: it counts, outside of itself, what
// it was given in which version.
package witness

import (
	"os"

	myelin "github.com/myelin-run/myelin/sdk/go"
)

// Handler counts an event under its version, and answers with the version.
func Handler(ctx *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
	version := os.Getenv("VERSION")
	if _, err := ctx.Bindings.KV("seen").Add(ctx, version+"/"+string(ev.Body), 1); err != nil {
		return err
	}
	out.Body = append(out.Body, version...)
	return nil
}
