package image

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// brought are the directories of an artefact that change when the function's
// dependencies do.
var brought = []string{functionDir + "/site-packages", functionDir + "/src/node_modules", functionDir + "/node_modules", functionDir + "/lib"}

// split tells what the function depends on from what is its own.
func split(dir string) (dependencies, own []file, err error) {
	all, err := tree(dir, functionDir)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		if isBrought(f.path) {
			dependencies = append(dependencies, f)
		} else {
			own = append(own, f)
		}
	}
	return dependencies, own, nil
}

func isBrought(path string) bool {
	for _, b := range brought {
		if path == b || strings.HasPrefix(path, b+"/") {
			return true
		}
	}
	return false
}

// processorFile is what the processor of an image reads. It is readable for who
// has the image, and so it holds no secrets.
type processorFile struct {
	Function function.Config `json:"function"`
	Dir      string          `json:"dir"`
	Scratch  string          `json:"scratch"`
}

func processorConfig(a build.Artefact) ([]byte, error) {
	text, err := json.Marshal(processorFile{artefact.Portable(a.Config), functionDir, scratchDir})
	if err == nil {
		text, err = document.YAML(text)
	}
	if err != nil {
		return nil, fmt.Errorf("write processor.yaml: %w", err)
	}
	return text, nil
}
