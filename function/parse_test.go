package function

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/document"
)

var update = flag.Bool("update", false, "write golden files, the schema and the reference anew")

// golden compares got with the file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not fresh (go test ./function -update writes it); -want +got:\n%s", file, diff)
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files fit %s: %v", pattern, err)
	}
	return names
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func validFiles(t *testing.T) []string {
	return append(files(t, "testdata/valid/*.yaml"), files(t, "testdata/valid/*.json")...)
}

// Valid files are read, come to the golden defaults, and survive every format
// in which a configuration is passed on.
func TestValid(t *testing.T) {
	for _, file := range validFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			l, err := Parse(file, read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
			roundTrips(t, l.Config)
			cfg := l.Config
			Defaults(&cfg)
			if err := Validate(cfg); err != nil {
				t.Errorf("with defaults: %v", err)
			}
			again := cfg
			Defaults(&again)
			if diff := cmp.Diff(cfg, again); diff != "" {
				t.Errorf("defaults of defaults differ:\n%s", diff)
			}
			text, err := Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"hunter2", "s3cr3t"} {
				if strings.Contains(string(text), secret) {
					t.Errorf("Marshal shows %s", secret)
				}
			}
			golden(t, file+".golden", string(text))
		})
	}
}

func roundTrips(t *testing.T, cfg Config) {
	t.Helper()
	raw, err := document.MarshalRevealed(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var viaJSON, viaStrict Config
	if err := json.Unmarshal(raw, &viaJSON); err != nil {
		t.Fatal(err)
	}
	if err := document.DecodeJSON(raw, &viaStrict); err != nil {
		t.Fatal(err)
	}
	text, err := MarshalRevealed(cfg)
	if err != nil {
		t.Fatal(err)
	}
	viaYAML, err := Parse("again.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for how, got := range map[string]Config{"encoding/json": viaJSON, "DecodeJSON": viaStrict, "YAML": viaYAML.Config} {
		if diff := cmp.Diff(cfg, got); diff != "" {
			t.Errorf("through %s (-want +got):\n%s", how, diff)
		}
	}
}

// A configuration with every field of the contract misses none after Parse.
func TestKeepsEveryField(t *testing.T) {
	file := "testdata/valid/nuclio-kafka.yaml"
	l, err := Parse(file, read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := document.MarshalRevealed(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	again, err := document.Parse("kept.json", kept)
	if err != nil {
		t.Fatal(err)
	}
	zero := map[string]bool{"publish": true, "disableDefaultHTTPTrigger": true, "hostIPC": true, "disableSensitiveFieldsMasking": true, "dealerURI": true, "functionSourceCode": true, "noCleanup": true, "offline": true}
	for _, at := range []string{"metadata", "spec", "spec.build", "spec.triggers.orders", "spec.dataBindings.regions"} {
		for _, name := range l.Document.Fields(at) {
			if !zero[name] && !again.Has(document.Join(at, name)) {
				t.Errorf("%s.%s is lost", at, name)
			}
		}
	}
}

// Each wrong file has a golden file with the whole expected error.
func TestWrong(t *testing.T) {
	for _, file := range files(t, "testdata/wrong/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			l, err := Parse("function.yaml", read(t, file))
			if err == nil {
				err = l.Validate()
			}
			if err == nil {
				t.Fatal("accepted")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestBuildFile(t *testing.T) {
	file, err := ParseBuildFile("build.yaml", []byte("flags: [-tags=x]\nmode: neverBuild\nargs: {A: a, B: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := MergeBuild(file, Build{Mode: "alwaysBuild", NuclioBuild: NuclioBuild{Args: map[string]string{"B": "c"}}})
	want := Build{Mode: "alwaysBuild", Flags: []string{"-tags=x"}, NuclioBuild: NuclioBuild{Args: map[string]string{"A": "a", "B": "c"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = ParseBuildFile("build.yaml", []byte("flag: [x]\nmode: alwaysbuild\nbuildTimeoutSeconds: -1\n"))
	const wrong = `build.yaml:1: unknown field flag, did you mean flags?
build.yaml:2: mode: unknown value "alwaysbuild", did you mean "alwaysBuild"? (known: neverBuild, alwaysBuild)
build.yaml:3: buildTimeoutSeconds: is -1, expected 0 or more`
	if err == nil || err.Error() != wrong {
		t.Errorf("got:\n%v\nwant:\n%s", err, wrong)
	}
}
