package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// AsyncAPI returns the AsyncAPI document of the function or mapping at a path,
// "functions/hello".
func (c *Client) AsyncAPI(ctx context.Context, path string) (out json.RawMessage, err error) {
	err = c.call(ctx, http.MethodGet, c.url("/"+path+"/asyncapi", nil), nil, &out)
	return out, err
}
