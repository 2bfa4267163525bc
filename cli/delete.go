package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/manifest"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
)

// deleting is what `myelin delete` was told.
type deleting struct {
	wait, force, cascade bool
	timeout              time.Duration
	files                []string
	recursive            bool
}

func (a *app) deleteCommand() *cobra.Command {
	var d deleting
	c := &cobra.Command{
		Use:     "delete KIND NAME... | delete -f PATH",
		Aliases: []string{"del"},
		Short:   "Delete objects",
		Long: "Deletes objects by their names, or those that documents declare. What a function is serving is finished\n" +
			"first. Kinds: " + a.kindList() + "; without one it is a function.",
		Example:           "  myelin delete function hello --wait\n  myelin delete project shop --cascade\n  myelin delete -f shop/",
		ValidArgsFunction: a.completeObjects,
		Args: func(c *cobra.Command, args []string) error {
			k, names, _ := a.about(args, true)
			if len(d.files) > 0 && len(args) > 0 {
				return usage("either -f or names: unexpected %q", args[0])
			}
			if len(d.files) == 0 && len(names) == 0 {
				return usage("which %s? usage: %s", k.one, c.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(d.files) > 0 {
				return a.deleteDeclared(d)
			}
			k, names, _ := a.about(args, true)
			var errs []error
			for _, name := range names {
				errs = append(errs, a.removeOne(a.client(), k, name, d))
			}
			return errors.Join(errs...)
		},
	}
	fs := c.Flags()
	fs.BoolVar(&d.wait, "wait", false, "wait until the function has finished and is gone")
	fs.BoolVar(&d.force, "force", false, "an object that is not there is no error")
	fs.BoolVar(&d.cascade, "cascade", false, "delete what is in a project too")
	fs.DurationVar(&d.timeout, "wait-timeout", time.Minute, "longest time to wait")
	fs.StringArrayVarP(&d.files, "file", "f", nil, "delete what the documents in this file or directory declare, - for the standard input (repeat)")
	fs.BoolVarP(&d.recursive, "recursive", "R", false, "with -f: directories within directories too")
	return c
}

// removeOne deletes one object of any kind.
func (a *app) removeOne(c *client.Client, k kind, name string, d deleting) error {
	if k.name == function.Kind {
		return a.remove(c, name, d.wait, d.force, d.timeout)
	}
	at, err := k.place(name)
	if err != nil {
		return err
	}
	err = c.Remove(a.ctx, at, d.cascade)
	if d.force && client.NotFound(err) {
		return nil
	}
	if err != nil {
		return a.asked(err)
	}
	fmt.Fprintf(a.term.Err, "deleted %s %s\n", k.one, name)
	return nil
}

// deleteDeclared deletes what documents declare, in the reverse of the order
// in which they are applied.
func (a *app) deleteDeclared(d deleting) error {
	docs, err := manifest.Read(manifest.Options{Paths: d.files, Recursive: d.recursive, Input: a.term.In, Namespace: a.namespace})
	if err != nil {
		return misused(err)
	}
	slices.Reverse(docs)
	d.force = true // it is what shall be
	var errs []error
	for _, doc := range docs {
		k, ok := a.kindNamed(doc.Kind)
		if !ok {
			errs = append(errs, doc.Errorf("kind", "%s cannot be deleted", doc.Kind.Name))
			continue
		}
		errs = append(errs, a.removeOne(a.clientFor(doc.Metadata.Namespace), k, doc.Title(), d))
	}
	return errors.Join(errs...)
}

func (a *app) remove(c *client.Client, name string, wait, force bool, timeout time.Duration) error {
	f, err := c.Function(a.ctx, name)
	if err == nil {
		err = c.Delete(a.ctx, name)
	}
	if force && client.NotFound(err) {
		return nil
	}
	if err != nil {
		return a.asked(err)
	}
	if wait {
		if err := a.awaitGone(name, f.Status.Address, timeout); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.term.Err, "deleted %s\n", name)
	return nil
}

const glance = 50 * time.Millisecond

// awaitGone waits until nothing accepts at the function's address any more,
// which is when its processors have drained.
func (a *app) awaitGone(name, address string, timeout time.Duration) error {
	if address == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(a.ctx, timeout)
	defer cancel()
	p := a.term.Progress()
	defer p.Close()
	p.Step("drain " + name)
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil && ctx.Err() == nil {
			return nil
		}
		if err == nil {
			_ = conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if a.ctx.Err() != nil {
				return a.ctx.Err()
			}
			return fail(exitNotReady, fmt.Errorf("%s is deleted, and its processors still run after %v", name, timeout), "")
		}
	}
}
