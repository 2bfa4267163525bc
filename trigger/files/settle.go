package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/myelin-run/myelin/trigger/queue"
)

// Settle implements [queue.Session].
func (n *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	k, _ := m.Ref.(claim)
	var err error
	switch v.Action {
	case queue.Requeue:
		err = n.claims.giveBack(k)
	case queue.Reject:
		err = n.reject(k, v.Reason)
	default:
		err = n.finish(k)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that somebody removed needs no more
		return fmt.Errorf("settle file %q: %w", k.name, err)
	}
	return nil
}

// finish moves or deletes a file that is done.
func (n *session) finish(k claim) error {
	if n.src.cfg.After == Move {
		if _, err := n.place(k, n.src.cfg.Done); ignoreAbsent(err) != nil {
			return err
		}
	}
	return n.claims.drop(k)
}

// reject moves a file that is given up, and writes the reason beside it.
func (n *session) reject(k claim, why string) error {
	at, err := n.place(k, n.src.cfg.Failed)
	if ignoreAbsent(err) != nil {
		return err
	}
	if err == nil {
		if err := n.root.WriteFile(at+".reason", []byte(why+"\n"), 0o644); err != nil {
			return err
		}
	}
	return n.claims.drop(k)
}

// mostNames bounds how many other names are tried.
const mostNames = 100

// place moves a file to a directory, under another name if there is one of its
// name, and returns where it is.
func (n *session) place(k claim, dir string) (string, error) {
	to := dir + "/" + k.name
	for range mostNames {
		err := n.root.Link(k.file(), to)
		switch {
		case err == nil:
			return to, n.root.Remove(k.file())
		case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.EMLINK): // no hard links here
			if _, err := n.root.Lstat(to); errors.Is(err, os.ErrNotExist) {
				return to, n.root.Rename(k.file(), to)
			}
		case !errors.Is(err, os.ErrExist):
			return "", err
		case n.same(k.file(), to): // who was killed had come so far
			return to, n.root.Remove(k.file())
		}
		to = dir + "/" + k.name + "." + unique()
	}
	return "", fmt.Errorf("move to %s: %w", to, os.ErrExist)
}

// same reports whether two names are of one file.
func (n *session) same(a, b string) bool {
	x, err := n.root.Lstat(a)
	if err != nil {
		return false
	}
	y, err := n.root.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// Close implements [queue.Session].
func (n *session) Close(context.Context) error {
	var errs []error
	if n.claims != nil {
		errs = append(errs, n.claims.end())
	}
	if n.watch != nil {
		errs = append(errs, n.watch.close())
	}
	return errors.Join(append(errs, n.root.Close())...)
}
