package tap

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/trigger/letter"
)

const own = "myelin_abcd1234_abcdefghijklmnopqrstuvwxyz"

func redacted(s Spec, e Event) Event {
	newRedactor(s).event(&e)
	return e
}

// What sounds secret is taken out of headers, queries, forms, records and JSON of
// any shape, and told; what does not stays to the byte.
func TestRedacts(t *testing.T) {
	headers := func(names ...string) (out []letter.Header) {
		for _, n := range names {
			out = append(out, letter.Header{Key: n, Value: letter.Bytes("s3cret")})
		}
		return out
	}
	e := redacted(Spec{RedactHeaders: []string{"X-Customer"}, Keep: []string{"X-Page-Token"}}, Event{Error: "no " + own + "!", Event: letter.Event{
		Headers: append(headers("authorization", "Cookie", "Set-Cookie", "Proxy-Authorization", "X-Myelin-Authorization", "X-Api-Key", "x-auth-token", "X-CUSTOMER"),
			letter.Header{Key: "X-Page-Token", Value: letter.Bytes("7")}, letter.Header{Key: "Accept", Value: letter.Bytes("*/*")}, letter.Header{Key: "X-Note", Value: letter.Bytes("use " + own)}),
		Fields: headers("password", "name"),
		Path:   "/a", URL: "/a?name=s3cre%74&access_token=s3cret&db%50assword=s3cret", Key: letter.Bytes(own),
	}})
	for i, h := range e.Event.Headers {
		want := map[bool]string{true: "***"}[i < 8]
		if want == "" {
			want = []string{"7", "*/*", "use ***"}[i-8]
		}
		if string(h.Value) != want {
			t.Errorf("header %s: %s", h.Key, h.Value)
		}
	}
	if f := e.Event.Fields; string(f[0].Value) != "***" || string(f[1].Value) != "s3cret" {
		t.Errorf("fields: %v", f)
	}
	if e.Event.URL != "/a?name=s3cre%74&access_token=***&db%50assword=***" || string(e.Event.Key) != "***" || e.Error != "no ***!" {
		t.Errorf("%+v", e)
	}
	said := strings.Join(e.Redacted, ", ")
	for _, want := range []string{"header authorization", "header X-CUSTOMER", "field password", "field dbPassword", "token of the control plane"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not told: %s", want, said)
		}
	}
}

func TestRedactsBodies(t *testing.T) {
	for name, c := range map[string]struct{ kind, body, want string }{
		"as written":   {"", `{ "a" : 1.50, "b":"\u00e9", "list":[ {"x":null} ] }`, `{ "a" : 1.50, "b":"\u00e9", "list":[ {"x":null} ] }`},
		"string":       {"", `{"user":"ann","password" : "p\"w,}","x":1}`, `{"user":"ann","password" : "***","x":1}`},
		"number":       {"", `{"pwd":12,"x":1}`, `{"pwd":"***","x":1}`},
		"last":         {"", `[{"token":true}]`, `[{"token":"***"}]`},
		"nested":       {"", `{"credentials":{"a":["}",{"b":"]"}]},"x":1}`, `{"credentials":"***","x":1}`},
		"deep":         {"", `{"a":[{"b":{"client_secret":"s","c":2}}]}`, `{"a":[{"b":{"client_secret":"***","c":2}}]}`},
		"escaped name": {"", `{"pass\u0077ord":"s"}`, `{"pass\u0077ord":"***"}`},
		"a value":      {"", `{"a":"password","b":"c"}`, `{"a":"password","b":"c"}`},
		"cut":          {"", `{"a":1,"apiKey":"abc`, `{"a":1,"apiKey":"***"`},
		"cut nested":   {"", `{"secret":{"a":"b`, `{"secret":"***"`},
		"cut name":     {"", `{"a":1,"passw`, `{"a":1,"passw`},
		"nothing":      {"", `{"password":`, `{"password":`},
		"lines":        {"application/x-ndjson", "{\"jwt\":1}\n{\"jwt\":2}", "{\"jwt\":\"***\"}\n{\"jwt\":\"***\"}"},
		"mistake":      {"application/json", `{"password":"a" "token":"b"]]`, `{"password":"***" "token":"***"]]`},
		"by name":      {"", `{"ssn":"1","SSN":"2","ssnx":3}`, `{"ssn":"***","SSN":"***","ssnx":3}`},
		"kept":         {"", `{"nextPageToken":"1"}`, `{"nextPageToken":"1"}`},
		"form":         {"application/x-www-form-urlencoded; charset=utf-8", "user=ann&pass%77ord=s&token&x=1", "user=ann&pass%77ord=***&token=***&x=1"},
		"text":         {"text/plain", "password=s " + own + " end", "password=s *** end"},
		"binary":       {"", "\x00\xff{\"password\":1}", "\x00\xff{\"password\":1}"},
		"empty":        {"application/json", "", ""},
	} {
		e := redacted(Spec{RedactFields: []string{"ssn"}, Keep: []string{"nextPageToken"}}, Event{Event: letter.Event{ContentType: c.kind, Body: letter.Bytes(c.body)}})
		if string(e.Event.Body) != c.want {
			t.Errorf("%s: got %s, want %s", name, e.Event.Body, c.want)
		}
	}
}

// However a document is written, the secret in it is not in what is kept, and
// valid JSON stays valid.
func FuzzRedacts(f *testing.F) {
	f.Add([]byte(`{"password":"x","a":["b",{"token":{"c":1}}]}`))
	f.Add([]byte(`{"a":"\\","secret":"\"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e := redacted(Spec{}, Event{Event: letter.Event{ContentType: "application/json", Body: append(letter.Bytes{}, body...)}})
		if json.Valid(body) && !json.Valid(e.Event.Body) {
			t.Errorf("%q became %q", body, e.Event.Body)
		}
		if !json.Valid(body) {
			return
		}
		var v any
		if err := json.Unmarshal(e.Event.Body, &v); err != nil {
			t.Fatal(err)
		}
		walk(t, v)
	})
}

func walk(t *testing.T, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if newRedactor(Spec{}).secret(name, nil) && value != "***" {
				t.Errorf("%q has %v", name, value)
			}
			walk(t, value)
		}
	case []any:
		for _, value := range v {
			walk(t, value)
		}
	}
}
