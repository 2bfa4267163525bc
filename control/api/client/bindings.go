package client

import (
	"context"
	"net/http"

	"github.com/myelin-run/myelin/control/api"
)

// Bindings returns how the data bindings of a function are, in each processor.
func (c *Client) Bindings(ctx context.Context, name string) ([]api.BindingView, error) {
	var out api.BindingList
	err := c.call(ctx, http.MethodGet, c.url(named(name)+"/bindings", nil), nil, &out)
	return out.Items, err
}
