// Package orders is a function that reads a queue of RabbitMQ.
package orders

import (
	"encoding/json"
	"fmt"

	"github.com/myelin-run/myelin/event"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

type order struct {
	Item   string
	Number int
}

// Handler prices an order. What is no order will never be one: it goes to the
// dead letters at once, rather than being tried again.
func Handler(ctx *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
	var o order
	if err := json.Unmarshal(ev.Body, &o); err != nil {
		return event.Permanent(fmt.Errorf("read order: %w", err))
	}
	ctx.Logger.Info("order", "item", o.Item, "by", string(ev.Key))
	out.Body = fmt.Appendf(out.Body, "%d %s: %d", o.Number, o.Item, 3*o.Number)
	return nil
}
