package signature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// PolicyFile is where [ReadPolicy] looks in the data directory.
const PolicyFile = "signatures.yaml"

// Policy says whose signatures functions need to run. The zero Policy asks for none.
type Policy struct{ rules []rule }

type rule struct {
	namespaces []string
	keys       []Key
}

// ReadPolicy reads signatures.yaml of data, and the keys that it names: a list
// "required" of rules with "keys", files of public keys (below data, if not absolute) of which one has to have
// signed, and "namespaces", all if it is left out. The file may be missing.
func ReadPolicy(data string) (Policy, error) {
	path := filepath.Join(data, PolicyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Policy{}, nil
	}
	if err != nil {
		return Policy{}, fmt.Errorf("read policy of signatures: %w", err)
	}
	var list struct {
		Required []struct {
			Namespaces []string `json:"namespaces"`
			Keys       []string `json:"keys"`
		} `json:"required"`
	}
	doc, err := document.Parse(path, text)
	if err == nil {
		err = doc.Decode(&list)
	}
	if err != nil {
		return Policy{}, err
	}
	var p Policy
	for i, r := range list.Required {
		made := rule{namespaces: r.Namespaces}
		for _, file := range r.Keys {
			if !filepath.IsAbs(file) {
				file = filepath.Join(data, file)
			}
			keys, err := ReadPublic(file)
			if err != nil {
				return Policy{}, fmt.Errorf("%s: %w", path, err)
			}
			made.keys = append(made.keys, keys...)
		}
		if len(made.keys) == 0 {
			return Policy{}, fmt.Errorf("%s: required[%d] has no keys: nothing could run", path, i)
		}
		p.rules = append(p.rules, made)
	}
	if len(p.rules) == 0 {
		return Policy{}, fmt.Errorf("%s: no rules under `required`: remove the file if nothing shall be signed", path)
	}
	return p, nil
}

// Admit returns nil if the policy lets a function run what is in the directory of
// an artefact now: every rule for its namespace is met by a signature that it carries.
func (p Policy) Admit(cfg function.Config, a build.Artefact) error {
	var content string
	for _, r := range p.rules {
		if len(r.namespaces) > 0 && !slices.Contains(r.namespaces, cfg.Metadata.Namespace) {
			continue
		}
		if content == "" {
			var err error
			if content, err = artefact.Content(a.Dir); err != nil {
				return fmt.Errorf("check signature: %w", err)
			}
		}
		all, err := Parse(cfg.Metadata.Annotations[Annotation])
		if err == nil {
			err = Check(r.keys, all, Statement{Artefact, cfg.Metadata.Name, content})
		}
		if err != nil {
			return fmt.Errorf("the signature that %s asks for: %w (sign it with: myelin run --sign-key)", PolicyFile, err)
		}
	}
	return nil
}
