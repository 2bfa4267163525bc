// Package batch greets everybody who comes at the same time, in one call.
package batch

import (
	"fmt"

	myelin "github.com/myelin-run/myelin/sdk/go"
)

// Handler gives an answer to each event, in their order.
func Handler(_ *myelin.Context, evs []*myelin.Event, outs []*myelin.Response, _ []error) error {
	for i, ev := range evs {
		outs[i].Body = fmt.Appendf(outs[i].Body, "Hello, %s, one of %d", ev.Body, len(evs))
	}
	return nil
}
