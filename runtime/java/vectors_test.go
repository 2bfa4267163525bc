package java

import (
	"encoding/hex"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The worker reads and writes all of the published test vectors.
func TestVectors(t *testing.T) {
	r, _ := fixture{}.make(t)
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	classes, err := javac(t.TempDir(), "testdata/vectors/run/myelin/worker/Vectors.java")
	if err != nil {
		t.Fatal(err)
	}
	var given strings.Builder
	for _, line := range []string{"The header ", "Entry 0, ", "Entries 1 and 2, ", "Request metadata: ", "The line of the cell", "Metadata of a call "} {
		given.WriteString(vector(t, line) + "\n")
	}
	cmd := osexec.Command(r.m.java(), "-Xshare:auto", "-cp", r.m.classPath(r.dir)+":"+classes, "run.myelin.worker.Vectors", filepath.Join(r.dir, library))
	cmd.Stdin = strings.NewReader(given.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		got[name] = rest
	}
	for name, want := range map[string]string{
		"entry": "7 9 8 body 2", // the claim word is that of entry 0, begun
		"event": "2023-11-14T22:13:20Z 12345 3 8 POST /a /a?b=c text/plain id-1 k t http web sync {X-A=1, X-B=} {b=c}",
		"level": "false true", "batch": "2 8 two1 6 2 three", "none": "true",
		"response": vector(t, "Response metadata: "), "call": vector(t, "Metadata of a call "), "ask": vector(t, "Its entry, first in an empty ring"),
		"answer": "200 text/plain {} ok 5 59",
	} {
		if name == "response" { // the record's time is in milliseconds
			want = strings.Replace(want, "05002a36fe9c9717", "00002a36fe9c9717", 1)
		}
		if got[name] != want {
			t.Errorf("%s: got  %s\nwant %s", name, got[name], want)
		}
	}
	// In these the place of the body and the handler's time are the worker's choice.
	part, end := vector(t, "Entries of responses, "), vector(t, "The end of that stream, ")
	for name, want := range map[string]string{"part": mask(part, 32, 64), "end": mask(end, 32, 96), "release": release(t)} {
		if have := map[string]string{"part": mask(got["part"], 32, 64), "end": mask(got["end"], 32, 96), "release": got["release"]}[name]; have != want {
			t.Errorf("%s: got  %s\nwant %s", name, have, want)
		}
	}
}

// mask blanks the digits from one place to another.
func mask(digits string, from, to int) string {
	if len(digits) < to {
		return digits
	}
	return digits[:from] + strings.Repeat(".", to-from) + digits[to:]
}

// release is the vector that follows the end of a stream.
func release(t *testing.T) string {
	_, after, ok := strings.Cut(page(t), "\nThe end of that stream, ")
	parts := strings.SplitN(after, "```", 5)
	if !ok || len(parts) < 5 {
		t.Fatal("no vector of a release")
	}
	return strings.Join(strings.Fields(parts[3]), "")
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "shared-memory.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// vector returns the digits of the block after a line of the format's page.
func vector(t *testing.T, line string) string {
	t.Helper()
	_, after, ok := strings.Cut(page(t), "\n"+line)
	parts := strings.SplitN(after, "```", 3)
	if !ok || len(parts) < 3 {
		t.Fatalf("no vector %q", line)
	}
	digits := strings.Join(strings.Fields(parts[1]), "")
	if _, err := hex.DecodeString(digits); err != nil {
		t.Fatal(err)
	}
	return digits
}
