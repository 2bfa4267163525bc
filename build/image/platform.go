package image

import (
	"fmt"
	"io/fs"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// EnvWorkers says, in the image of Myelin itself, where prepared workers are from
// which images of functions are made: there is no compiler for others.
const EnvWorkers = "MYELIN_WORKERS"

// stateDir is where the image of Myelin keeps its data; it is a volume.
const stateDir = "/var/lib/myelin"

// Platform is what the image of Myelin itself is made of.
type Platform struct {
	Program   string // myelin's file
	Processor string // the generic processor's
	// Caches are directories with the prepared workers of the runtimes that functions
	// may be in.
	Caches []string
}

// On puts Myelin on a base, which has what functions are built with.
func (p Platform) On(base v1.Image, layers *Layers) (v1.Image, error) {
	files := []file{
		{path: path.Join(root, "bin", "myelin"), from: p.Program, mode: 0o755},
		{path: programFile, from: p.Processor, mode: 0o755},
		{path: stateDir, mode: fs.ModeDir | fs.ModeSticky | 0o777},
	}
	seen := map[string]bool{}
	for _, cache := range p.Caches {
		all, err := tree(cache, cacheDir)
		if err != nil {
			return nil, fmt.Errorf("read worker: %w", err)
		}
		for _, f := range all {
			if !seen[f.path] {
				seen[f.path] = true
				files = append(files, f)
			}
		}
	}
	img, err := add(base, layers, "myelin", files)
	if err != nil {
		return nil, err
	}
	was, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read configuration of base: %w", err)
	}
	c := was.DeepCopy()
	c.Config.Entrypoint, c.Config.Cmd = []string{path.Join(root, "bin", "myelin")}, []string{"up"}
	c.Config.WorkingDir, c.Config.User, c.Config.StopSignal = scratchDir, user, "SIGTERM"
	c.Config.ExposedPorts = map[string]struct{}{"8070/tcp": {}, "8080/tcp": {}}
	for _, v := range [][2]string{{"HOME", scratchDir}, {"MYELIN_CACHE", cacheDir}, {"MYELIN_DATA", stateDir}, {EnvWorkers, cacheDir}} {
		c.Config.Env = withEnv(c.Config.Env, v[0], v[1])
	}
	c.Config.Labels = withLabels(c.Config.Labels, map[string]string{"org.opencontainers.image.title": "myelin"})
	c.Created = v1.Time{Time: epoch}
	return mutate.ConfigFile(img, c)
}
