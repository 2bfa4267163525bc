// Package image makes OCI images of artefacts, without a container engine: what
// is in an image depends on the artefact, the base and Myelin alone, byte for
// byte, so that who makes it again gets the same digest. Each layer holds what
// changes together, and so a change of code is a layer of a few kilobytes. It
// knows no language: what a runtime needs beside the artefact it is given.
//
// Formats: OCI image specification 1.1; image layout 1.0; `docker save` archives.
package image

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/transfer"
)

// Where things are in an image.
const (
	root        = "/myelin"
	functionDir = root + "/function"
	programFile = root + "/bin/processor"
	cacheDir    = root + "/cache"
	configFile  = root + "/processor.yaml"
	scratchDir  = "/tmp"
)

// user is whom the processor runs as, with no name in any base.
const user = "65532:65532"

// Parts are what an image is made of.
type Parts struct {
	Base     v1.Image
	Artefact build.Artefact
	// Processor is left out if the base has the same one.
	Processor Processor
	// Layers keeps what was compressed; nil for nothing.
	Layers *Layers
}

// Make puts an image together. The files are read when the image is written.
func Make(p Parts) (v1.Image, error) {
	config, err := processorConfig(p.Artefact)
	if err != nil {
		return nil, err
	}
	dependencies, own, err := split(p.Artefact.Dir)
	if err != nil {
		return nil, fmt.Errorf("read artefact: %w", err)
	}
	own = append(own, file{path: configFile, data: config, mode: 0o644})
	img, err := p.Processor.On(p.Base, p.Layers)
	if err != nil {
		return nil, err
	}
	if img, err = add(img, p.Layers, "dependencies of the function", dependencies); err != nil {
		return nil, err
	}
	if img, err = add(img, p.Layers, "function "+p.Artefact.Config.Metadata.Name, own); err != nil {
		return nil, err
	}
	return Configure(img, p.Artefact)
}

// Ground makes what the image of a function stands on, for containers that are given the
// artefact's directory at /myelin/function: another code of the function, with the same
// requirements of its machine, has the same ground.
func Ground(p Parts) (v1.Image, error) {
	img, err := p.Processor.On(p.Base, p.Layers)
	if err != nil {
		return nil, err
	}
	a := p.Artefact
	a.Digest = ""
	return Configure(img, a)
}

// add puts a layer of files on img, if there are any.
func add(img v1.Image, layers *Layers, what string, files []file) (v1.Image, error) {
	if len(files) == 0 {
		return img, nil
	}
	layer, err := layers.of(files)
	if err == nil {
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "myelin", Comment: what, Created: v1.Time{Time: epoch}}})
	}
	if err != nil {
		return nil, fmt.Errorf("make layer of %s: %w", what, err)
	}
	return img, nil
}

// epoch is when everything in an image was made.
var epoch = time.Unix(0, 0).UTC()

// Configure says how the image of an artefact is run, whatever it said before.
func Configure(img v1.Image, a build.Artefact) (v1.Image, error) {
	was, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read configuration of base: %w", err)
	}
	c := was.DeepCopy()
	program := programFile
	if len(a.Command) > 0 {
		program = path.Join(functionDir, a.Command[0])
	}
	c.Config.Entrypoint = []string{program, "-config", configFile}
	c.Config.Cmd = nil
	c.Config.WorkingDir = scratchDir
	c.Config.User = user
	c.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}, "8082/tcp": {}}
	c.Config.StopSignal = "SIGTERM"
	delete(c.Config.Labels, transfer.LabelSteps) // it is what the function stands on
	name := a.Config.Metadata.Name
	c.Config.Labels = withLabels(c.Config.Labels, map[string]string{"org.opencontainers.image.title": name, transfer.LabelFunction: name, "run.myelin.runtime": a.Runtime})
	if a.Digest != "" {
		c.Config.Labels["run.myelin.artefact"] = a.Digest
	}
	c.Created = v1.Time{Time: epoch}
	return mutate.ConfigFile(img, c)
}

func withLabels(labels, more map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, labels)
	maps.Copy(all, more)
	return all
}

// withEnv sets one variable, in the place where it was.
func withEnv(env []string, name, value string) []string {
	env = slices.Clone(env)
	at := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	if at < 0 {
		return append(env, name+"="+value)
	}
	env[at] = name + "=" + value
	return env
}

// Own is how many bytes of img are not of base, as they are sent and kept.
func Own(img, base v1.Image) (size int64, err error) {
	all, err := img.Layers()
	if err != nil {
		return 0, err
	}
	below, err := base.Layers()
	if err != nil {
		return 0, err
	}
	for _, l := range all[len(below):] {
		n, err := l.Size()
		if err != nil {
			return 0, err
		}
		size += n
	}
	return size, nil
}
