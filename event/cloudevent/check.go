package cloudevent

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
)

// check refuses attributes that break the rules of version 1.0, and takes the
// time from them.
func (e *Event) check() error {
	switch v := e.Attributes.Get("ce-specversion"); {
	case v == nil:
		return problem("specversion", "is required")
	case string(v) != "1.0":
		return fmt.Errorf("CloudEvent: %w: %q, want 1.0", ErrVersion, v)
	}
	for _, name := range []string{"id", "source", "type"} {
		if len(e.Attributes.Get("ce-"+name)) == 0 {
			return problem(name, "is required and must not be empty")
		}
	}
	for _, p := range e.Attributes {
		if err := checkValue(p); err != nil {
			return err
		}
	}
	if e.ContentType != "" {
		kind, _, err := mime.ParseMediaType(e.ContentType)
		if err != nil {
			return problem("datacontenttype", "%w", err)
		}
		if !strings.Contains(kind, "/") { // which a content disposition may be
			return problem("datacontenttype", "%q is no type such as text/plain", e.ContentType)
		}
	}
	return e.takeTime("ce-time", "time")
}

func (e *Event) takeTime(key, name string) (err error) {
	if v := e.Attributes.Get(key); v != nil {
		e.Time, err = time.Parse(time.RFC3339Nano, string(v))
		// It takes a comma and the offset of a whole day, too.
		if _, offset := e.Time.Zone(); err != nil || bytes.IndexByte(v, ',') >= 0 || max(offset, -offset) >= 24*60*60 {
			return problem(name, "%q is no time such as 2026-03-01T12:00:00Z", v)
		}
	}
	return nil
}

// checkValue looks at what the attribute may be by its name.
func checkValue(p event.Pair) error {
	name := p.Key[len("ce-"):]
	if !validName(name) {
		return problem(fmt.Sprintf("%q", name), "names are of a to z and 0 to 9 only")
	}
	if !validText(p.Value) {
		return problem(name, "has a control character, or is not UTF-8")
	}
	switch name {
	case "source", "dataschema":
		u, err := url.Parse(string(p.Value))
		switch {
		case err != nil:
			return problem(name, "%w", err)
		case len(p.Value) == 0:
			return problem(name, "must not be empty")
		case name == "dataschema" && !u.IsAbs():
			return problem(name, "%q is not absolute", p.Value)
		}
	case "subject":
		if len(p.Value) == 0 {
			return problem(name, "must not be empty")
		}
	}
	return nil
}

func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func validText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return false
		}
		b = b[n:]
	}
	return true
}
