package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/api"
)

func TestTemplatesAndSchemas(t *testing.T) {
	w := newWorld(t)
	var list api.TemplateList
	code, text := w.ask("GET", "/api/v1/templates", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil || code != 200 || len(list.Items) < 10 {
		t.Fatalf("%d %s %v", code, text, err)
	}
	for _, item := range list.Items {
		var b api.Beginning
		code, text := w.ask("GET", "/api/v1/templates/"+item.Name+"?as=my-own", "")
		if err := json.Unmarshal([]byte(text), &b); err != nil || code != 200 || b.Template != item || b.Code == "" || b.File == "" || !strings.Contains(b.Config, "my-own") {
			t.Errorf("%s: %d %s %v", item.Name, code, text, err)
		}
	}
	var schema struct {
		Title      string         `json:"title"`
		Properties map[string]any `json:"properties"`
	}
	code, text = w.ask("GET", "/api/v1/schemas/function", "")
	if err := json.Unmarshal([]byte(text), &schema); err != nil || code != 200 || schema.Title != "function.yaml" || schema.Properties["spec"] == nil {
		t.Errorf("%d %.200s %v", code, text, err)
	}
	for path, want := range map[string]int{
		"templates/cobol-http": 404, "templates/python-http?as=Not/OK": 400, "templates?what=1": 400, "schemas/functions": 404, "schemas/..%2ffunction": 404,
	} {
		if code, text := w.ask("GET", "/api/v1/"+path, ""); code != want || want == 404 && path == "schemas/functions" && !strings.Contains(text, "function") {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
}
