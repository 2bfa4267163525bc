// Package ok is measured: it answers "ok".
package ok

import myelin "github.com/myelin-run/myelin/sdk/go"

// Handler answers "ok".
func Handler(_ *myelin.Context, _ *myelin.Event, out *myelin.Response) error {
	out.Body = append(out.Body, "ok"...)
	return nil
}
