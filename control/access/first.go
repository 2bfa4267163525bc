package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// firstName is what the first admin's token is called.
const firstName = "first-admin"

// First sees to it that the file at path, which its owner alone may read, has
// a token that may do everything, and makes one if it does not: who may write
// this file has the control plane already.
func First(ctx context.Context, t *Tokens, path string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read first token: %w", err)
	}
	if err == nil {
		_, _, err = t.Verify(ctx, strings.TrimSpace(string(text)))
		if err == nil {
			return os.Chmod(path, 0o600)
		}
		if !errors.Is(err, ErrRefused) {
			return err
		}
	}
	if err := revokeFirst(ctx, t); err != nil {
		return err
	}
	token, _, err := t.Create(ctx, Token{Name: firstName, By: "myelin up", Grants: []Grant{{All, All, Admin}}})
	if err != nil {
		return err
	}
	return writeFirst(path, token)
}

// Given sees to it that the token in the file at path, which somebody else keeps, may do
// everything, and no earlier first token. [New] makes such a token.
func Given(ctx context.Context, t *Tokens, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read first token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	id, secret, ok := split(token)
	if !ok {
		return fmt.Errorf("first token in %s: want a token such as `myelin token new` makes", path)
	}
	if _, _, err = t.Verify(ctx, token); err == nil || !errors.Is(err, ErrRefused) {
		return err
	}
	if err := revokeFirst(ctx, t); err != nil {
		return err
	}
	return t.keep(ctx, id, secret, &Token{Name: firstName, By: "myelin up", Grants: []Grant{{All, All, Admin}}})
}

// revokeFirst removes earlier first tokens, whose file is gone.
func revokeFirst(ctx context.Context, t *Tokens) error {
	all, err := t.List(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.Name == firstName && k.By == "myelin up" {
			if err := t.Revoke(ctx, k.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFirst(path, token string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".token") // of mode 0600
	if err != nil {
		return fmt.Errorf("write first token: %w", err)
	}
	_, err = temp.WriteString(token + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write first token: %w", err)
	}
	return nil
}
