package image

import (
	"fmt"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Processor is what runs functions that are no programs themselves.
type Processor struct {
	// Program is the generic processor's file; "" if there is none.
	Program string
	// Cache is a directory with the runtime's prepared worker, "" if it needs none.
	Cache string
	// Runtime, unless it is "", is the one whose worker alone is taken of Cache.
	Runtime string
}

// processorLabel says which processor an image has.
const processorLabel = "run.myelin.processor"

// On puts the processor on base, unless base has it. layers may be nil.
func (p Processor) On(base v1.Image, layers *Layers) (v1.Image, error) {
	files, err := p.files()
	if err != nil || len(files) == 0 {
		return base, err
	}
	sum, err := layers.remembered().of(files)
	if err != nil {
		return nil, fmt.Errorf("read processor: %w", err)
	}
	was, err := base.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read configuration of base: %w", err)
	}
	if was.Config.Labels[processorLabel] == sum {
		return base, nil
	}
	img, err := add(base, layers, "processor", files)
	if err != nil {
		return nil, err
	}
	if was, err = img.ConfigFile(); err != nil {
		return nil, fmt.Errorf("read configuration of base: %w", err)
	}
	c := was.DeepCopy()
	c.Config.Labels = withLabels(c.Config.Labels, map[string]string{processorLabel: sum})
	c.Config.Env = withEnv(c.Config.Env, "MYELIN_CACHE", cacheDir)
	return mutate.ConfigFile(img, c)
}

func (p Processor) files() (files []file, err error) {
	if p.Program != "" {
		files = append(files, file{path: path.Join(root, "bin", "processor"), from: p.Program, mode: 0o755})
	}
	if p.Cache != "" {
		cache, err := treeBut(p.Cache, cacheDir, "") // the worker's byte code knows no times
		if err != nil {
			return nil, fmt.Errorf("read worker: %w", err)
		}
		for _, f := range cache {
			if p.Runtime == "" || f.path == cacheDir || isBelow(f.path, path.Join(cacheDir, p.Runtime)) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}
