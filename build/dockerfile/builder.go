package dockerfile

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	engine "github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/transfer"
)

// label marks what steps make in an engine, the containers that they run in
// included. It is the same for all, so that steps are found again.
const label = "LABEL " + transfer.LabelSteps + "=1"

// Repositories of an engine that are this package's.
const (
	results = "myelin-steps" // what steps made, by the function
	bases   = "myelin-stand" // what steps stand on, while they run
)

// Options say what runs steps.
type Options struct {
	// Engine connects to what runs the steps. It is called when the first ones are.
	Engine func() (*client.Client, error)
	Data   string // the data directory: what steps made is kept in its steps
	// Stale is how old what a killed build left in the engine has to be to be
	// removed. Default a day.
	Stale time.Duration
}

// Builder runs steps. Any number may run at once; those that are the same wait for
// each other, and are run once.
type Builder struct {
	o      Options
	client *client.Client // of Engine, once there are steps
	mu     sync.Mutex
	busy   map[string]chan struct{}
}

// New makes a builder. It opens nothing.
func New(o Options) *Builder {
	if o.Stale == 0 {
		o.Stale = 24 * time.Hour
	}
	return &Builder{o: o, busy: map[string]chan struct{}{}}
}

// reach has the client be there.
func (b *Builder) reach() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client == nil {
		b.client, err = b.o.Engine()
	}
	return err
}

// Request is steps to be run.
type Request struct {
	Plan
	Name string // of the function
	// Base is what they stand on; nil for From.
	Base v1.Image
	From string // an image that the engine has, by its name; "" for a Dockerfile of the author's own
	// Last has the steps after the function is there be run, else those before.
	Last    bool
	Context string            // directory that steps take files from; "" for none
	Values  map[string]string // of Args
	NoCache bool              // whether steps are run that were run before
	Offline bool              // whether they do without a network
}

// Apply runs the steps and returns what they made. A step that fails is a
// [*build.Error] with its command, its exit code and the end of what it printed.
// Progress goes to log, a line at a time. When ctx ends the step is killed.
func (b *Builder) Apply(ctx context.Context, r Request, log io.Writer) (v1.Image, error) {
	if err := b.reach(); err != nil {
		return nil, err
	}
	key, err := b.key(ctx, r)
	if err != nil {
		return nil, err
	}
	release, err := b.alone(ctx, key)
	if err != nil {
		return nil, err
	}
	defer release()
	if id := b.remembered(key); id != "" && !r.NoCache {
		if img, err := b.kept(id, r.Base); err == nil {
			fmt.Fprintln(log, "the steps of the image are unchanged")
			return img, nil
		}
	}
	b.tidy(ctx)
	id, err := b.build(ctx, r, key, log)
	if err != nil {
		return nil, err
	}
	if err := b.keep(ctx, id, r.Base); err != nil {
		return nil, fmt.Errorf("take the image of the steps out of the engine: %w", err)
	}
	b.forget(ctx, r.Name, key)
	return b.kept(id, r.Base)
}

// alone waits until nobody else is at key.
func (b *Builder) alone(ctx context.Context, key string) (release func(), err error) {
	mine := make(chan struct{})
	for {
		b.mu.Lock()
		other := b.busy[key]
		if other == nil {
			b.busy[key] = mine
		}
		b.mu.Unlock()
		if other == nil {
			return func() {
				b.mu.Lock()
				delete(b.busy, key)
				b.mu.Unlock()
				close(mine)
			}, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// steps are those of the request.
func (r Request) steps() []Instruction {
	if r.Last {
		return r.After
	}
	return r.Before
}

// key names all that decides what steps make, but for what they fetch.
func (b *Builder) key(ctx context.Context, r Request) (string, error) {
	h := sha256.New()
	from := r.From
	switch {
	case r.Base != nil:
		name, err := r.Base.ConfigName()
		if err != nil {
			return "", fmt.Errorf("read what the steps stand on: %w", err)
		}
		from = name.String()
	case from != "":
		i, err := b.client.ImageInspect(ctx, from)
		if cerrdefs.IsNotFound(err) {
			return "", mistake("%s is not in the Docker engine, and spec.build.noBaseImagesPull says not to fetch it", from)
		} else if err != nil {
			return "", b.problem("look for "+from, err)
		}
		from = i.ID
	}
	text, _ := r.text(from, r.steps(), r.Last)
	if r.own() {
		file, err := os.ReadFile(filepath.Join(r.Context, filepath.FromSlash(r.File)))
		if err != nil {
			return "", mistake("spec.build.dockerfile: %s is not a file of the sources", r.File)
		}
		text = string(file)
	}
	fmt.Fprintf(h, "myelin steps 1\n%q\n", text)
	for _, name := range r.Args {
		fmt.Fprintf(h, "%s=%q\n", name, r.Values[name])
	}
	if r.Context != "" {
		sum, err := artefact.DigestTree(r.Context)
		if err != nil {
			return "", fmt.Errorf("read sources: %w", err)
		}
		fmt.Fprintln(h, sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// own tells whether the author's own Dockerfile is built.
func (r Request) own() bool { return r.File != "" && !r.Last }

// build has the engine run the steps, and returns what the image is called by its
// content.
func (b *Builder) build(ctx context.Context, r Request, key string, log io.Writer) (string, error) {
	from := r.From
	if r.Base != nil {
		from = fmt.Sprintf("%s:%d-%s", bases, time.Now().Unix(), strings.ToLower(rand.Text()[:12]))
		if err := transfer.Load(ctx, b.client, r.Base, from); err != nil {
			return "", b.problem("give the base image to the engine", err)
		}
		defer b.untag(from)
	}
	text, shown := r.text(from, r.steps(), r.Last)
	name := madeUp
	if r.own() {
		text, shown, name = "", nil, r.File
	}
	in, out := io.Pipe()
	defer in.Close()
	go func() { out.CloseWithError(writeContext(out, r.Context, text)) }()
	o := client.ImageBuildOptions{
		Version: engine.BuilderV1, Context: in, Dockerfile: name, Tags: []string{tagOf(r.Name, key)},
		Remove: true, ForceRemove: true, NoCache: r.NoCache, BuildArgs: map[string]*string{},
	}
	if r.own() {
		o.Labels = map[string]string{transfer.LabelSteps: "1"}
	}
	if r.Offline {
		o.NetworkMode = "none"
	}
	for _, name := range r.Args {
		value := r.Values[name]
		o.BuildArgs[name] = &value
	}
	resp, err := b.client.ImageBuild(ctx, in, o)
	if err != nil {
		return "", b.refused(ctx, r, err)
	}
	defer resp.Body.Close()
	s := story{shown: shown, log: log}
	id, err := s.follow(resp.Body)
	switch {
	case ctx.Err() != nil:
		return "", s.stopped(context.Cause(ctx))
	case err != nil:
		return "", err
	}
	return id, b.remember(key, id)
}

// refused is what the engine says instead of beginning.
func (b *Builder) refused(ctx context.Context, r Request, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cerrdefs.IsInvalidArgument(err) && r.own():
		return &build.Error{File: r.File, Msg: err.Error()}
	case cerrdefs.IsInvalidArgument(err):
		return &build.Error{Msg: "the steps of the image: " + err.Error()}
	}
	return b.problem("run the steps of the image", err)
}

// problem is one with the engine.
func (b *Builder) problem(what string, err error) error {
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("%s: the Docker engine at %s cannot be reached: it has to run for functions whose images need steps (--docker-host, DOCKER_HOST): %w", what, b.client.DaemonHost(), err)
	}
	if full(err.Error()) {
		return fmt.Errorf("%s: the disk of the Docker engine is full: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func full(text string) bool { return strings.Contains(text, "no space left on device") }

// tagOf is what the engine calls what steps made for a function.
func tagOf(function, key string) string {
	return results + "/" + strings.ToLower(function) + ":" + key[:24]
}

var errNoImage = errors.New("the engine ended the build and named no image")
