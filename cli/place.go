package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/myelin-run/myelin/control/api/client"
)

// place is where an object is in the API. One that belongs to a function is
// named FUNCTION:NAME, as in addresses.
func (k kind) place(name string) (string, error) {
	if !k.ofFunction {
		return k.many + "/" + url.PathEscape(name), nil
	}
	of, own, ok := strings.Cut(name, ":")
	if !ok || of == "" || own == "" {
		return "", usage("%s %s: say whose it is, FUNCTION:%s", k.one, name, name)
	}
	return k.under(of) + "/" + url.PathEscape(own), nil
}

// under is where the objects of a function are.
func (k kind) under(function string) string {
	return "functions/" + url.PathEscape(function) + "/" + k.many
}

// title is how an object is named on the command line.
func (k kind) title(object json.RawMessage) string {
	o := read[anyObject](object)
	if !k.ofFunction {
		return o.Metadata.Name
	}
	if o.Metadata.Name == "" { // a version has a number
		return o.Function + ":" + o.Version.String()
	}
	return o.Spec.Function + ":" + o.Metadata.Name
}

// list returns the objects of a kind; of those that belong to functions, of
// one function, or of all.
func (a *app) list(ctx context.Context, c *client.Client, k kind, s client.Selection, of string) (all []json.RawMessage, err error) {
	if !k.ofFunction {
		return c.List(ctx, k.many, s)
	}
	functions := []string{of}
	if of == "" {
		functions = nil
		fs, err := c.Functions(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range fs {
			functions = append(functions, f.Metadata.Name)
		}
	}
	for _, f := range functions {
		some, err := c.List(ctx, k.under(f), s)
		if client.NotFound(err) && of == "" {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
