package reference

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestEveryKindHasASchema(t *testing.T) {
	for _, kind := range Kinds() {
		text, ok := Schema(kind)
		if !ok || !json.Valid(text) {
			t.Errorf("%s: %v, %d bytes", kind, ok, len(text))
		}
	}
	if _, ok := Schema("../reference/function"); ok {
		t.Error("left its directory")
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-schema.json") {
			n++
		}
	}
	if n != len(Kinds()) {
		t.Errorf("%d schemas, %d kinds", n, len(Kinds()))
	}
}
