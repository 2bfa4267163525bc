package main

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/cli"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

const page = "../../docs/cli.md"

// docs/cli.md says what the commands and flags are now.
func TestReference(t *testing.T) {
	got := cli.Reference(cli.Parts{Triggers: triggers, Runtimes: runtimes, Builders: builders})
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what the commands are: go test ./cmd/myelin -run TestReference -update\n%s", page, diff)
	}
}
