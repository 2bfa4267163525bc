package program

import (
	"os"
	"testing"

	"github.com/myelin-run/myelin/function"
)

// A function that is compiled in finds its variables where any program does.
func TestVariables(t *testing.T) {
	t.Setenv("GREETING", "before")
	t.Setenv("ELSEWHERE", "")
	cfg := function.Config{}
	cfg.Spec.Env = []function.EnvVar{{Name: "GREETING", Value: "Welcome"}, {Name: "ELSEWHERE", Value: "x", ValueFrom: []byte(`{"a": 1}`)}}
	if err := variables(cfg); err != nil || os.Getenv("GREETING") != "Welcome" || os.Getenv("ELSEWHERE") != "" {
		t.Errorf("%q %q %v", os.Getenv("GREETING"), os.Getenv("ELSEWHERE"), err)
	}
	cfg.Spec.Env = []function.EnvVar{{Name: "A=B"}}
	if variables(cfg) == nil {
		t.Error("a name that is none is taken")
	}
}
