package image

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// brought are the directories of an artefact that change when the function's
// dependencies do.
var brought = []string{functionDir + "/site-packages", functionDir + "/src/node_modules", functionDir + "/node_modules", functionDir + "/lib"}

// contextDir is what steps of a Dockerfile take files from. No function needs it.
var contextDir = path.Join(functionDir, artefact.ContextDir)

// split tells what the function depends on from what is its own.
func split(dir string) (dependencies, own []file, err error) {
	all, err := tree(dir, functionDir)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		if isBelow(f.path, contextDir) {
			continue
		}
		if isBrought(f.path) {
			dependencies = append(dependencies, f)
		} else {
			own = append(own, f)
		}
	}
	return dependencies, own, nil
}

func isBrought(path string) bool {
	return slices.ContainsFunc(brought, func(dir string) bool { return isBelow(path, dir) })
}

func isBelow(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// processorFile is what the processor of an image reads. It is readable for who
// has the image, and so it holds no secrets.
type processorFile struct {
	Function function.Config `json:"function"`
	Dir      string          `json:"dir"`
	Scratch  string          `json:"scratch"`
}

func processorConfig(a build.Artefact) ([]byte, error) {
	config := artefact.Portable(a.Config)
	config.Spec.Build = config.Spec.Build.WithoutImage()
	text, err := json.Marshal(processorFile{config, functionDir, scratchDir})
	if err == nil {
		text, err = document.YAML(text)
	}
	if err != nil {
		return nil, fmt.Errorf("write processor.yaml: %w", err)
	}
	return text, nil
}
