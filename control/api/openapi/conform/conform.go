// Package conform checks that answers are what the API's document says. It is
// for tests; no product imports it.
package conform

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/myelin-run/myelin/control/api/openapi"
)

// Checker compares answers with the document.
type Checker struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema
	seen     map[string]bool
}

const address = "https://myelin.run/openapi.json"

// New returns a checker of the document that the API serves.
func New(t testing.TB) *Checker {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.Document()))
	if err != nil {
		t.Fatal(err)
	}
	c := &Checker{doc: tree.(map[string]any), compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := c.compiler.AddResource(address, tree); err != nil {
		t.Fatal(err)
	}
	return c
}

// Handler passes on to next and checks what it answered. Every answer that is
// not as the document says is an error of t.
func (c *Checker) Handler(t testing.TB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		if err := c.check(r, rec); err != nil {
			t.Errorf("%s %s: %d: not as the document says: %v\n%s", r.Method, r.URL, rec.status, err, rec.body.Bytes())
		}
	})
}

// Seen returns the operations and statuses that were answered with,
// "getFunction 200".
func (c *Checker) Seen() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// recorder keeps what it passes on.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

type tree = map[string]any

// operation finds the operation of a request, nil if there is none.
func (c *Checker) operation(r *http.Request) (op tree, where string) {
	best := -1
	for path, item := range c.doc["paths"].(tree) {
		fixed := fits(path, r.URL.EscapedPath())
		method := strings.ToLower(r.Method)
		found, ok := item.(tree)[method].(tree)
		if !ok && method == "head" {
			method = "get"
			found, ok = item.(tree)[method].(tree)
		}
		if ok && fixed > best {
			best, op = fixed, found
			where = "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path) + "/" + method
		}
	}
	return op, where
}

// fits returns how many segments of a template a path has literally, -1 if it
// does not fit. {path} stands for any number.
func fits(template, path string) (fixed int) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	for i, w := range want {
		switch {
		case w == "{path}":
			return fixed
		case i >= len(got):
			return -1
		case w == got[i]:
			fixed++
		case !strings.HasPrefix(w, "{") || got[i] == "":
			return -1
		}
	}
	if len(got) != len(want) {
		return -1
	}
	return fixed
}

func (c *Checker) check(r *http.Request, rec *recorder) error {
	kind, _, _ := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	op, where := c.operation(r)
	if op == nil {
		if kind != "application/problem+json" {
			return fmt.Errorf("there is no such operation, and the answer is %q", kind)
		}
		return c.valid("#/components/schemas/Problem", rec.body.Bytes())
	}
	c.note(op, rec.status)
	status := fmt.Sprint(rec.status)
	answer, ok := op["responses"].(tree)[status].(tree)
	if !ok {
		if _, any := op["responses"].(tree)["default"]; any {
			return nil
		}
		return fmt.Errorf("%s has no answer %s", op["operationId"], status)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	content, _ := answer["content"].(tree)
	if content == nil {
		if rec.body.Len() > 0 {
			return fmt.Errorf("%s %s has no body", op["operationId"], status)
		}
		return nil
	}
	media, ok := content[kind].(tree)
	if !ok {
		return fmt.Errorf("%s %s has no content %q", op["operationId"], status, kind)
	}
	return c.content(where+"/responses/"+status+"/content/"+strings.ReplaceAll(kind, "/", "~1"), media, rec.body.Bytes())
}

func (c *Checker) note(op tree, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[fmt.Sprintf("%s %d", op["operationId"], status)] = true
}

// content checks a body, or what a stream carried.
func (c *Checker) content(where string, media tree, body []byte) error {
	if _, ok := media["x-line"]; ok {
		for line := range bytes.Lines(body) {
			if err := c.valid(where+"/x-line", line); err != nil {
				return err
			}
		}
		return nil
	}
	if _, ok := media["x-event-data"]; ok {
		return c.events(where+"/x-event-data", body)
	}
	schema, _ := media["schema"].(tree)
	if schema["type"] == "string" {
		return nil
	}
	return c.valid(where+"/schema", body)
}

// events checks the objects of a watch; the last event may be cut off.
func (c *Checker) events(where string, body []byte) error {
	in := bufio.NewScanner(bytes.NewReader(body))
	in.Buffer(nil, 4<<20)
	kind := ""
	for in.Scan() {
		key, value, _ := strings.Cut(in.Text(), ": ")
		if key == "event" {
			kind = value
		}
		if key == "data" && kind == "put" && json.Valid([]byte(value)) {
			if err := c.valid(where, []byte(value)); err != nil {
				return err
			}
		}
	}
	return in.Err()
}

func (c *Checker) valid(where string, body []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.schemas[where]
	if s == nil {
		if s, err = c.compiler.Compile(address + where); err != nil {
			return err
		}
		c.schemas[where] = s
	}
	return s.Validate(value)
}
