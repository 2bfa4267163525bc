package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/function"
)

func parse(t *testing.T, args ...string) (*Flags, function.Config, error) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := AddBuild(fs)
	f.AddDeploy()
	f.AddForeign()
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	cfg, err := f.Config()
	return f, cfg, err
}

func TestFlagsMakeAConfiguration(t *testing.T) {
	_, cfg, err := parse(t, "--name", "hello", "--runtime", "python:3.11", "--handler", "main:h",
		"-e", "A=1", "--env", "B=x=y", "-l", "team=core,tier=web", "--annotations", "note=yes", "--project-name", "p",
		"--replicas", "0", "--max-replicas", "3", "--disable", "--desc", "true", "--build-command", "true", "--build-command", "echo a,b",
		"--triggers", `{"web":{"kind":"http","numWorkers":2}}`, "--resource-limit", "cpu=500m,memory=128Mi",
		"--logger-level", "debug", "--readiness-timeout", "5", "--set", "spec.eventTimeout=10s")
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.Spec
	if cfg.Metadata.Name != "hello" || s.Runtime != "python:3.11" || s.Handler != "main:h" || s.Description != "true" {
		t.Errorf("got %+v", cfg)
	}
	if len(s.Env) != 2 || s.Env[1].Value != "x=y" {
		t.Errorf("env: %+v", s.Env)
	}
	if cfg.Metadata.Labels["tier"] != "web" || cfg.Metadata.Labels["nuclio.io/project-name"] != "p" {
		t.Errorf("labels: %v", cfg.Metadata.Labels)
	}
	if s.Replicas == nil || *s.Replicas != 0 || !s.Disable || s.ReadinessTimeoutSeconds != 5 {
		t.Errorf("replicas %v, disable %v, readiness %d", s.Replicas, s.Disable, s.ReadinessTimeoutSeconds)
	}
	if len(s.Build.Commands) != 2 || s.Build.Commands[1] != "echo a,b" {
		t.Errorf("commands: %q", s.Build.Commands)
	}
	if s.Triggers["web"].NumWorkers != 2 || s.LoggerSinks[0].Level != "debug" || s.EventTimeout.String() != "10s" {
		t.Errorf("triggers %v, sinks %v, timeout %v", s.Triggers, s.LoggerSinks, s.EventTimeout)
	}
}

func TestFlagsGoBeforeTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "function.yaml")
	if err := os.WriteFile(file, []byte("metadata:\n  name: a\nspec:\n  handler: x:y\n  env: [{name: A, value: b}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, cfg, err := parse(t, "-f", file, "--name", "b", "-e", "A=c")
	if err != nil || cfg.Metadata.Name != "b" || cfg.Spec.Handler != "x:y" || cfg.Spec.Env[0].Value != "c" {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestMistakesNameTheFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--triggers", "{"}, "--triggers: not JSON"},
		{[]string{"--triggers", `{"web":{"knid":"http"}}`}, `did you mean kind?`},
		{[]string{"--env", "=x"}, "--env =x: want NAME=VALUE"},
		{[]string{"--env", "SURELY_NOT_SET_ANYWHERE"}, "want NAME=VALUE"},
		{[]string{"--labels", "x"}, `--labels: "x": want name=value`},
		{[]string{"--resource-limit", "memory=lots"}, "--resource-limit"},
		{[]string{"--set", "spec.replicas"}, "want path=value"},
		{[]string{"--set", "spec.replcias=2"}, `did you mean replicas?`},
		{[]string{"--set", "spec.replicas=two"}, "spec.replicas"},
		{[]string{"--name", "No_Label"}, "--name"},
		{[]string{"--file", "/no/such"}, "read configuration"},
		{[]string{"--logger-level", "loud"}, "--logger-level"},
	} {
		_, _, err := parse(t, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
	}
}

func TestForeignFlagsAreToldApart(t *testing.T) {
	f, _, err := parse(t, "--image", "x", "--no-pull")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Foreign(); err == nil || !strings.Contains(err.Error(), "--image: not on the local platform yet") {
		t.Errorf("got %v", err)
	}
	if f, _, _ := parse(t); f.Foreign() != nil {
		t.Error("no flag was given")
	}
}
