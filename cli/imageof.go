package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/dockerfile"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/platform/docker/relay"
)

// imageRequest is an image to be made of an artefact.
type imageRequest struct {
	art    build.Artefact
	base   string              // what it stands on unless it names an image itself
	forced bool                // whether base goes before that
	runner *dockerfile.Builder // what runs steps
	log    io.Writer
	p      *terminal.Progress // nil if nobody looks
	// ground asks for what the function stands on, without it.
	ground bool
	// architecture is that of the machines that it is for; "" for this one's.
	architecture string
}

// madeImage can be read until release.
type madeImage struct {
	img, base v1.Image
	release   func()
}

// stepsOn runs steps with an engine, which is looked for when there are some.
func (a *app) stepsOn(host relay.Host) (*dockerfile.Builder, error) {
	data, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	return dockerfile.New(dockerfile.Options{Data: data, Engine: func() (*client.Client, error) {
		at, err := engineAt(host)
		if err != nil {
			return nil, err
		}
		return at.Connect()
	}}), nil
}

// imageOf makes the image of an artefact: its base, with what steps make of that;
// the processor, what the function requires, and the function; and what steps make
// of all that.
func (a *app) imageOf(ctx context.Context, r imageRequest) (made madeImage, err error) {
	plan, err := r.plan()
	if err != nil {
		return made, err
	}
	depot, err := a.depot()
	if err != nil {
		return made, err
	}
	made.release = func() {}
	if made.base, err = a.standing(ctx, depot, r, plan); err != nil {
		return made, err
	}
	parts := image.Parts{Artefact: r.art, Layers: depot.Layers, Base: made.base}
	if len(r.art.Command) == 0 {
		interpreter, err := os.ReadFile(filepath.Join(r.art.Dir, "interpreter"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
		if parts.Processor, made.release, err = a.processorOf(runtimeName(r.art.Runtime), strings.TrimSpace(string(interpreter)), r.machines(), r.p); err != nil {
			return made, err
		}
	}
	put := image.Make
	if r.ground {
		put = image.Ground
	}
	if made.img, err = put(parts); err == nil && len(plan.After) > 0 {
		if made.img, err = r.runner.Apply(ctx, r.steps(plan, dockerfile.Request{Base: made.img, Last: true}), r.log); err == nil {
			made.img, err = image.Configure(made.img, r.art)
		}
	}
	if err != nil {
		made.release()
	}
	return made, err
}

// plan is what the artefact asks of its image. Which commands are steps was decided
// when it was built: the builder took the others.
func (r imageRequest) plan() (dockerfile.Plan, error) {
	return dockerfile.Read(r.art.Config.Spec.Build, func([]string) bool { return !r.art.Steps })
}

// machines are those that the image is for.
func (r imageRequest) machines() string { return cmp.Or(r.architecture, image.Architecture()) }

// place is where the base is, and whether the function names it itself.
func (r imageRequest) place() (base string, own bool, err error) {
	named, err := dockerfile.Base(r.art.Config.Spec.Build)
	switch {
	case named == "" || r.forced && r.base != "":
		return r.base, false, err
	case named == image.Scratch:
		return named, true, err
	}
	return image.Registry + ":" + named, true, err // whatever it is called, it is no place of this machine
}

// standing is what the function stands on: a base, with what steps made of it.
func (a *app) standing(ctx context.Context, depot image.Depot, r imageRequest, plan dockerfile.Plan) (v1.Image, error) {
	base, own, err := r.place()
	if err != nil {
		return nil, err
	}
	request := r.steps(plan, dockerfile.Request{})
	switch {
	case plan.File != "":
		return r.runner.Apply(ctx, request, r.log)
	case own && r.art.Config.Spec.Build.NoBaseImagesPull && r.machines() != image.Architecture():
		return nil, fmt.Errorf("spec.build.noBaseImagesPull takes the base from the Docker engine, which has it for %s only: leave it out, or build on a machine of %s", image.Architecture(), r.machines())
	case own && r.art.Config.Spec.Build.NoBaseImagesPull:
		_, request.From = image.Split(base)
		return r.runner.Apply(ctx, request, r.log)
	case base == "" && len(r.art.Command) == 0:
		return nil, noBase(runtimeName(r.art.Runtime))
	}
	if request.Base, err = depot.Base(ctx, base, r.machines()); err != nil || len(plan.Before) == 0 {
		return request.Base, err
	}
	return r.runner.Apply(ctx, request, r.log)
}

func noBase(runtime string) error {
	return fail(exitUsage, fmt.Errorf("an image of a %s function needs a base that has %s, and no base image for %s is known: make one (myelin base %s -o oci:DIR), and say --base oci:DIR, or start with --base %s=oci:DIR; or name one in spec.build.baseImage",
		runtime, runtime, runtime, runtime, runtime), "")
}

// steps is a request to run those of the artefact.
func (r imageRequest) steps(plan dockerfile.Plan, q dockerfile.Request) dockerfile.Request {
	m, b := r.art.Config.Metadata, r.art.Config.Spec.Build
	q.Plan, q.Name, q.Values, q.NoCache, q.Offline = plan, cmp.Or(m.Namespace, "default")+"."+m.Name, b.Args, b.NoCache, b.Offline
	if plan.Files() {
		q.Context = filepath.Join(r.art.Dir, artefact.ContextDir)
	}
	return q
}

// runSteps makes the image for what its steps make, which is kept for who makes it
// again.
func (a *app) runSteps(ctx context.Context, r imageRequest) error {
	made, err := a.imageOf(ctx, r)
	if err == nil {
		made.release()
	}
	return err
}
