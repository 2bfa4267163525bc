// Package sink notes each event that it is given.
package sink

import (
	"fmt"
	"os"

	myelin "github.com/myelin-run/myelin/sdk/go"
)

// InitContext opens a file for each kind of source.
func InitContext(ctx *myelin.Context) error {
	files := map[string]*os.File{}
	for _, kind := range []string{"http", "kafka", "rabbitmq"} {
		f, err := os.OpenFile(os.Getenv("SINK")+"."+kind, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		files[kind] = f
	}
	ctx.UserData = files
	return nil
}

// Handler writes what it got, and in which version, processor and place of its
// source, as one line.
func Handler(ctx *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
	version, at := os.Getenv("VERSION"), ev.Token
	line := fmt.Appendf(nil, "%s %s %d %d:%d:%d\n", ev.Body, version, os.Getpid(), at.Shard, at.Offset, at.Epoch)
	if _, err := ctx.UserData.(map[string]*os.File)[ev.Source.Kind].Write(line); err != nil {
		return err
	}
	out.Body = append(out.Body, version...)
	return nil
}
