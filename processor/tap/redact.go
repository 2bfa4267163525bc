package tap

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/trigger/letter"
)

// hidden stands for what was taken out.
const hidden = "***"

// mostRedacted is how many names of each kind are told of an event.
const mostRedacted = 20

// alwaysHidden are headers that are credentials by their definition.
var alwaysHidden = []string{"authorization", "proxyauthorization", "cookie", "setcookie", "xmyelinauthorization"}

// endings of names sound secret: password, db_password and dbPassword.
var endings = []string{"password", "passwd", "pwd", "passphrase", "secret", "token", "jwt", "apikey", "accesskey", "privatekey", "secretkey", "credential", "credentials", "authorization", "cookie", "sessionid"}

// ownToken is what the control plane's tokens look like.
var ownToken = regexp.MustCompile(`myelin_[A-Za-z0-9]{4,}_[A-Za-z0-9]{16,}`)

func always(name string) bool { return slices.Contains(alwaysHidden, plain(name)) }

// plain is a name without what is written one way here and another there.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c == '.' || c == ' ' {
			return -1
		}
		return c
	}, strings.ToLower(name))
}

// redactor takes out of events what must not be seen.
type redactor struct {
	headers, fields, keep map[string]bool
	said                  []string // of the event at hand
}

func newRedactor(s Spec) *redactor {
	set := func(names []string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[plain(n)] = true
		}
		return m
	}
	return &redactor{headers: set(s.RedactHeaders), fields: set(s.RedactFields), keep: set(s.Keep)}
}

// event takes out of e what is to be taken out, and notes what.
func (r *redactor) event(e *Event) {
	r.said = nil
	e.Event.Headers = r.pairs("header", e.Event.Headers, r.headers)
	e.Event.Fields = r.pairs("field", e.Event.Fields, r.fields)
	e.Event.URL, e.Event.Path = r.address(e.Event.URL), r.address(e.Event.Path)
	switch body, kind := e.Event.Body, strings.ToLower(e.Event.ContentType); {
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		e.Event.Body = letter.Bytes(r.form(string(body)))
	case strings.Contains(kind, "json") || looksLikeJSON(body):
		e.Event.Body = r.json(body)
	}
	e.Event.Body = r.tokens(e.Event.Body)
	e.Event.Key = r.tokens(e.Event.Key)
	e.Error = string(r.tokens([]byte(e.Error)))
	e.Redacted = r.said
}

// say notes what was taken out, once.
func (r *redactor) say(what string) {
	if len(what) > mostName {
		what = what[:mostName]
	}
	if len(r.said) < mostRedacted && !slices.Contains(r.said, what) {
		r.said = append(r.said, what)
	}
}

func (r *redactor) secret(name string, more map[string]bool) bool {
	p := plain(name)
	if more[p] {
		return true
	}
	if r.keep[p] {
		return false
	}
	return slices.Contains(alwaysHidden, p) || slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(p, end) })
}

func (r *redactor) pairs(what string, ps []letter.Header, more map[string]bool) []letter.Header {
	for i := range ps {
		if r.secret(ps[i].Key, more) {
			r.say(what + " " + ps[i].Key)
			ps[i].Value = letter.Bytes(hidden)
			continue
		}
		ps[i].Value = r.tokens(ps[i].Value)
	}
	return ps
}

// address is a path with its query, if it has one.
func (r *redactor) address(text string) string {
	path, query, ok := strings.Cut(text, "?")
	if ok {
		path += "?" + r.form(query)
	}
	return string(r.tokens([]byte(path)))
}

// form takes values out of what is written name=value&name=value.
func (r *redactor) form(text string) string {
	parts := strings.Split(text, "&")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		plainly, err := url.QueryUnescape(name)
		if err != nil {
			plainly = name
		}
		if r.secret(plainly, r.fields) {
			r.say("field " + plainly)
			parts[i] = name + "=" + hidden
		}
	}
	return strings.Join(parts, "&")
}

// tokens takes out the control plane's own tokens, wherever they stand.
func (r *redactor) tokens(b []byte) []byte {
	if !bytes.Contains(b, []byte("myelin_")) || !ownToken.Match(b) {
		return b
	}
	r.say("token of the control plane")
	return ownToken.ReplaceAll(b, []byte(hidden))
}

func looksLikeJSON(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// json takes values out by the names before them. It needs no whole document:
// one that was cut, lines of several and one with a mistake are read as far as
// they go, and what is not taken out stays as it is written.
func (r *redactor) json(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if b[i] != '"' {
			out = append(out, b[i])
			i++
			continue
		}
		end := stringEnd(b, i)
		colon := blank(b, end)
		name := ""
		if colon < len(b) && b[colon] == ':' && json.Unmarshal(b[i:end], &name) != nil {
			name = string(b[i+1 : end-1])
		}
		out = append(out, b[i:end]...)
		if i = end; name == "" || !r.secret(name, r.fields) {
			continue
		}
		r.say("field " + name)
		value := blank(b, colon+1)
		out = append(out, b[end:value]...)
		if i = valueEnd(b, value); i > value {
			out = append(out, `"`+hidden+`"`...)
		}
	}
	return out
}

// stringEnd is behind the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return min(i, len(b))
}

// valueEnd is behind the value that begins at i.
func valueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			if i = stringEnd(b, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			if c == '}' || c == ']' {
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		i++
	}
	return len(b)
}
