package relay

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// lettersEvery is how often a container's dead letters are looked for.
const lettersEvery = time.Second

// collect brings the container's dead letters to this machine, until it has ended and
// all are here. Those that came go from the container.
func (r *relay) collect() {
	var seen time.Time
	for {
		ended := r.over.Err() != nil
		ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
		at, err := r.changed(ctx, seen)
		if err == nil && !at.Equal(seen) {
			var names []string
			if names, err = Letters(ctx, r.engine, r.Container, r.LettersThere, r.Letters); err == nil {
				seen = at
			}
			r.forget(ctx, names)
		}
		cancel()
		if ended && (err == nil || cerrdefs.IsNotFound(err)) {
			return
		}
		select {
		case <-r.over.Done():
			if ended {
				<-time.After(retryEvery)
			}
		case <-time.After(lettersEvery):
		}
	}
}

// changed says when a letter was put in or removed last.
func (r *relay) changed(ctx context.Context, seen time.Time) (time.Time, error) {
	s, err := r.engine.ContainerStatPath(ctx, r.Container, client.ContainerStatPathOptions{Path: r.LettersThere})
	if err != nil {
		return seen, err
	}
	return s.Stat.Mtime, nil
}

// forget has the processor remove letters that are here.
func (r *relay) forget(ctx context.Context, names []string) {
	c := http.Client{Timeout: askTime}
	defer c.CloseIdleConnections()
	for _, n := range names {
		resp, err := c.Do(r.ask(ctx, http.MethodDelete, "/letters/"+n))
		if err != nil {
			return // it stays, and comes again
		}
		_ = resp.Body.Close()
	}
}

// Letters copies the dead letters in a directory of a container, which may have ended, to
// one of this machine, and says which.
func Letters(ctx context.Context, engine *client.Client, container, from, to string) (names []string, err error) {
	all, err := engine.CopyFromContainer(ctx, container, client.CopyFromContainerOptions{SourcePath: from})
	if err != nil {
		return nil, err
	}
	defer all.Content.Close()
	box := letterbox.New(letterbox.Options{Dir: to})
	for files := tar.NewReader(all.Content); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return names, err
		}
		if h.Typeflag != tar.TypeReg || strings.HasPrefix(path.Base(h.Name), ".") || h.Size > letterbox.MaxLetter {
			continue
		}
		text, err := io.ReadAll(files)
		if err != nil {
			return names, err
		}
		l, err := letter.Decode(text)
		if err != nil {
			continue // a function can put there what it likes
		}
		if err := box.Send(ctx, l); err != nil {
			return names, err
		}
		names = append(names, letterbox.Name(l))
	}
}
