package dockerfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/transfer"
)

// answerLimit bounds what an engine is asked that takes it no time.
const answerLimit = time.Minute

// keptInEngine is how many images of a function's steps stay in the engine, where
// later steps go on from them.
const keptInEngine = 3

// untag takes the name from what steps stood on. What was made of it keeps it; else
// it goes.
func (b *Builder) untag(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	_, _ = b.client.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: true}) // another time, then
}

// forget removes what steps made for a function, but for the last of it, from the
// engine; and of what is kept here what was not used for long.
func (b *Builder) forget(ctx context.Context, function, key string) {
	ours := tagOf(function, key)
	repository, _, _ := strings.Cut(ours, ":")
	all, err := b.client.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", repository)})
	if err == nil {
		for _, i := range all.Items[min(keptInEngine, len(all.Items)):] {
			for _, tag := range i.RepoTags {
				if strings.HasPrefix(tag, repository+":") && tag != ours {
					_, _ = b.client.ImageRemove(ctx, tag, client.ImageRemoveOptions{})
				}
			}
		}
	}
	_ = artefact.Bound(b.images(), keptMost, keptAge)
	notes, _ := filepath.Glob(filepath.Join(b.o.Data, "steps", "keys", "*"))
	for _, path := range notes {
		if fi, err := os.Stat(path); err == nil && time.Since(fi.ModTime()) > keptAge {
			_ = os.Remove(path)
		}
	}
}

// tidy removes what killed builds left in the engine: containers of steps, names of
// what they stood on, and steps of builds that did not end.
func (b *Builder) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	marked := func() client.Filters { return make(client.Filters).Add("label", transfer.LabelSteps) }
	before := time.Now().Add(-b.o.Stale)
	if all, err := b.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: marked()}); err == nil {
		for _, c := range all.Items {
			if time.Unix(c.Created, 0).Before(before) {
				_, _ = b.client.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			}
		}
	}
	if all, err := b.client.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", bases)}); err == nil {
		for _, i := range all.Items {
			for _, tag := range i.RepoTags {
				if at, ok := tagged(tag); ok && at.Before(before) {
					b.untag(tag)
				}
			}
		}
	}
	_, _ = b.client.ImagePrune(ctx, client.ImagePruneOptions{Filters: marked().Add("dangling", "true").Add("until", fmt.Sprint(before.Add(-6*b.o.Stale).Unix()))})
}

// tagged is when what steps stand on got its name.
func tagged(tag string) (time.Time, bool) {
	_, rest, _ := strings.Cut(tag, ":")
	seconds, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(seconds, 10, 64)
	return time.Unix(n, 0), err == nil
}
