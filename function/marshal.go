package function

import (
	"encoding/json"
	"fmt"

	"github.com/myelin-run/myelin/document"
)

// Marshal writes cfg as YAML, fields in the order of the reference, secrets as
// "***".
func Marshal(cfg Config) ([]byte, error) {
	return asYAML(json.Marshal(cfg))
}

// MarshalRevealed writes cfg as YAML with its secrets in clear. It is for
// files that only the platform and the processor read.
func MarshalRevealed(cfg Config) ([]byte, error) {
	return asYAML(document.MarshalRevealed(cfg))
}

func asYAML(raw []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("marshal function: %w", err)
	}
	return document.YAML(raw)
}
