package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/function"
)

func mapped(name string) string { return "/mappings/" + url.PathEscape(name) }

// Mappings lists the event mappings that a selection chooses.
func (c *Client) Mappings(ctx context.Context, s Selection) ([]function.Mapping, error) {
	return list[function.Mapping](ctx, c, "mappings", s)
}

// Mapping returns one event mapping.
func (c *Client) Mapping(ctx context.Context, name string) (m function.Mapping, err error) {
	err = c.call(ctx, http.MethodGet, c.url(mapped(name), nil), nil, &m)
	return m, err
}

// CreateMapping stores a new event mapping.
func (c *Client) CreateMapping(ctx context.Context, m function.Mapping) (out function.Mapping, err error) {
	err = c.call(ctx, http.MethodPost, c.url("/mappings", nil), m, &out)
	return out, err
}

// PutMapping stores an event mapping, new or not, as Put does a function.
func (c *Client) PutMapping(ctx context.Context, m function.Mapping) (out function.Mapping, err error) {
	err = c.call(ctx, http.MethodPut, c.url(mapped(m.Metadata.Name), nil), m, &out)
	return out, err
}

// DeleteMapping deletes an event mapping that is not part of a function.yaml.
func (c *Client) DeleteMapping(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, c.url(mapped(name), nil), nil, nil)
}

// MappingTriggers returns how the triggers of an event mapping are, in each
// processor that has them.
func (c *Client) MappingTriggers(ctx context.Context, name string) ([]api.TriggerView, error) {
	var out api.TriggerList
	err := c.call(ctx, http.MethodGet, c.url(mapped(name)+"/triggers", nil), nil, &out)
	return out.Items, err
}
