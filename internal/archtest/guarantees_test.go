package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// occasions are what docs/triggers/guarantees.md answers for each trigger.
var occasions = []string{"order", "delivery", "failed event", "worker dies", "processor dies", "broker dies", "members change", "poison event", "exactly once"}

// The table of guarantees has a cell for each queue and stream and each
// occasion, and each cell names tests that exist.
func TestGuaranteesNameRealTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/triggers/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]bool{}
	row := regexp.MustCompile(`(?m)^\| \[(\w+)\]\([^)]*\) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$`)
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		trigger, occasion, promise, tests := m[1], m[2], m[3], m[4]
		cells[trigger+" "+occasion] = strings.TrimSpace(promise) != "" && strings.Contains(tests, "Test")
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(tests, -1) {
			if !testExists(t, trigger, name[1]) {
				t.Errorf("%s, %s: %s does not exist", trigger, occasion, name[1])
			}
		}
	}
	for _, trigger := range engined(t) {
		for _, o := range occasions {
			if !cells[trigger+" "+o] {
				t.Errorf("no cell, or no test, for %s, %s", trigger, o)
			}
		}
	}
	if len(cells) < 6*len(occasions) {
		t.Errorf("only %d cells", len(cells))
	}
}

// engined are the triggers that stand on an engine, of which poll is one itself.
func engined(t *testing.T) (kinds []string) {
	t.Helper()
	files, err := filepath.Glob("../../trigger/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kind := filepath.Base(filepath.Dir(file))
		if regexp.MustCompile(`\b(queue|stream|poll)\.New\(`).Match(text) && kind != "poll" && !slices.Contains(kinds, kind) && !strings.HasSuffix(file, "_test.go") {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// testExists looks for "TestX", "TestX/Check of a suite" or "room TestX".
func testExists(t *testing.T, trigger, name string) bool {
	t.Helper()
	dir := "../../trigger/" + trigger
	if room, rest, ok := strings.Cut(name, " "); ok {
		name, dir = rest, "../../trigger/"+room
		if room == "chaos" {
			dir = "../../test/chaos"
		}
	}
	fn, check, _ := strings.Cut(name, "/")
	return defines(t, dir+"/*_test.go", `(?m)^func `+fn+`\(`) &&
		(check == "" || defines(t, "../../trigger/triggertest/*.go", `"`+check+`": \w`))
}

func defines(t *testing.T, pattern, expression string) bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && regexp.MustCompile(expression).Match(text) {
			return true
		}
	}
	return false
}
