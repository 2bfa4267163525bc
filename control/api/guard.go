package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
)

// requestHeader carries the id by which the audit log knows a request.
const requestHeader = "X-Request-Id"

// guard lets a request pass that is written plainly, comes from somebody who is
// known and may do what it asks for, and is not one too many; and records it.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &observed{ResponseWriter: w}
		e := audit.Record{Time: time.Now().UTC(), Request: requestID(r), From: clientOf(r)}
		out.Header().Set(requestHeader, e.Request)
		admitted, done, err := s.admit(out, r, &e)
		if err != nil {
			s.refuse(out, err)
		} else {
			defer done()
			next.ServeHTTP(out, admitted.WithContext(context.WithValue(admitted.Context(), recordKey{}, &e)))
		}
		s.record(e, out.status)
	})
}

type recordKey struct{}

// recordOf is what the audit log will have of a request, for a handler that learns
// more about it than could be known when it was let in.
func recordOf(r *http.Request) *audit.Record {
	e, _ := r.Context().Value(recordKey{}).(*audit.Record)
	return e
}

// requestID is the client's own if it is a plain word, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestHeader)
	plain := func(c rune) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.'
	}
	if id != "" && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool { return !plain(c) }) < 0 {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// refuse answers with why a request was not let in.
func (s *server) refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, access.ErrUnknown), errors.Is(err, access.ErrRefused):
		w.Header().Set("WWW-Authenticate", `Bearer realm="myelin"`)
		problem.New(http.StatusUnauthorized, err.Error()).Write(w)
	case errors.Is(err, access.ErrUnavailable):
		s.o.Log.Warn("verify token", "error", err)
		problem.New(http.StatusServiceUnavailable, access.ErrUnavailable.Error()).Write(w)
	default:
		toProblem(err).Write(w)
	}
}

// admit does what guard says, and tells e what it learns. done is to be called
// at the end of a request that was let in.
func (s *server) admit(w http.ResponseWriter, r *http.Request, e *audit.Record) (_ *http.Request, done func(), err error) {
	if err := plainAddress(r); err != nil {
		return nil, nil, err
	}
	_, pattern := s.mux.Handler(r)
	right, listed := rights[pattern]
	rule := access.Rules()[right.operation]
	e.Operation, e.Namespace = right.operation, namespace(r)
	ctx, forget, err := s.who(r, rule)
	if err != nil {
		return nil, nil, err
	}
	c := access.From(ctx)
	e.Who, e.By, e.Token = c.Subject, c.By, c.ID
	leave, err := s.crowd.enter(clientOf(r) + " " + c.ID)
	if err != nil {
		forget()
		return nil, nil, err
	}
	done = func() { leave(); forget() }
	r = r.WithContext(ctx)
	if listed || s.o.Gate != nil {
		err = s.permit(r, pattern, right, rule, e)
	}
	if err == nil && !rule.Reads && s.o.Audit != nil && s.o.Audit.Err() != nil {
		err = problem.New(http.StatusServiceUnavailable, "the audit log cannot be written, so nothing is changed: "+s.o.Audit.Err().Error())
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	s.bound(w, r, right)
	if s.o.Gate != nil {
		keepCredentials(r)
	}
	return r, done, nil
}

// forFunction is what a function gets as Authorization if the API itself was
// asked with one.
const forFunction = "X-Myelin-Authorization"

// keepCredentials takes the caller's credentials away before a request is
// passed on to a function: they are not for its eyes.
func keepCredentials(r *http.Request) {
	r.Header.Del("Authorization")
	if own := r.Header.Values(forFunction); len(own) == 1 {
		r.Header.Set("Authorization", own[0])
	}
	r.Header.Del(forFunction)
}

// plainAddress refuses addresses that are not written plainly: what one part
// of the way takes for a name must not be a path for another. What is behind
// invoke is the function's own, as long as it stays there.
func plainAddress(r *http.Request) error {
	path, behind, _ := strings.Cut(r.URL.EscapedPath(), "/invoke/")
	if !strings.HasPrefix(path, "/") {
		return problem.New(http.StatusBadRequest, "want a path, such as /api/v1/functions")
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(path[1:], "/"), "/") {
		name, err := url.PathUnescape(part)
		odd := func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune(`/\;%?#`, c) }
		if err != nil || name == "." || name == ".." || strings.IndexFunc(name, odd) >= 0 {
			return problem.New(http.StatusNotFound, fmt.Sprintf("nothing can have the name %q", name))
		}
		if part == "" && path != "/" {
			return problem.New(http.StatusNotFound, "there is nothing at "+r.URL.Path)
		}
	}
	for part := range strings.SplitSeq(behind, "/") {
		if name, err := url.PathUnescape(part); err != nil || name == "." || name == ".." {
			return problem.New(http.StatusNotFound, "a function is asked for a path without . and ..")
		}
	}
	if n := len(r.URL.Query()["namespace"]); n > 1 {
		return problem.New(http.StatusBadRequest, fmt.Sprintf("namespace is given %d times", n))
	}
	return nil
}

// who finds out who asks. A control plane that asks nobody refuses names
// other than this machine's own: a web page whose name was made to point here
// would otherwise reach the API through its visitor's browser. Tokens are
// nothing that a browser would add.
func (s *server) who(r *http.Request, rule access.Rule) (context.Context, func(), error) {
	if s.o.Gate == nil {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !s.known(host) {
			return nil, nil, problem.New(http.StatusForbidden, "the API is not served under the name "+host)
		}
		return access.With(r.Context(), access.Local()), func() {}, nil
	}
	if rule.Scope == access.Unrestricted {
		return r.Context(), func() {}, nil
	}
	client := clientOf(r)
	if err := s.crowd.suspicious(client); err != nil {
		return nil, nil, err
	}
	ctx, done, err := s.o.Gate.Admit(r)
	if errors.Is(err, access.ErrRefused) {
		s.crowd.failed(client)
	}
	return ctx, done, err
}

func (s *server) known(host string) bool {
	if host == "localhost" || slices.Contains(s.o.Hosts, host) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil // an address has no name that could be made to point here
}

// permit says whether the caller may do it. What they may not see is not there.
func (s *server) permit(r *http.Request, pattern string, of right, rule access.Rule, e *audit.Record) error {
	c, ns := access.From(r.Context()), namespace(r)
	e.Object = objectOf(r, pattern)
	if r.URL.Query().Get("reveal") == "true" {
		if reveal := access.Rules()["secrets.reveal"]; !reveal.Allows(c, ns, access.All) {
			return lacks(reveal, "see secrets")
		}
		e.Operation = "secrets.reveal"
	}
	switch {
	case pattern == "/" || pattern == "":
		e.Operation = "api.unknown"
		return nil
	case rule.Allows(c, ns, access.All):
		return nil
	case rule.Scope != access.InProject:
		return lacks(rule, of.operation)
	case c.Most(ns) < access.Viewer:
		return problem.New(http.StatusNotFound, fmt.Sprintf("there is no namespace %q", ns))
	case of.of == wholeNamespace || !rule.Anywhere(c, ns):
		return lacks(rule, of.operation)
	case of.of == collection:
		return nil
	}
	return s.permitObject(r, pattern, of, rule)
}

// permitObject decides by the project of the object that the path names.
func (s *server) permitObject(r *http.Request, pattern string, of right, rule access.Rule) error {
	names := []string{or(pathValue(r, pattern, "function"), pathValue(r, pattern, "name"))}
	if to := r.URL.Query().Get("to"); to != "" && (of.operation == "letters.redrive" || of.operation == "captures.replay") {
		other, _ := redriveTo(names[0], to)
		names = append(names, other)
	}
	for _, n := range names {
		project, err := s.projectOf(r.Context(), of.of, catalog.Name{Namespace: namespace(r), Name: n})
		if errors.Is(err, store.ErrNotFound) && of.creates && r.Method == http.MethodPut {
			continue // storing it asks again, for the project that it names
		}
		c := access.From(r.Context())
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		case err != nil || !c.Sees(namespace(r), project):
			return problem.New(http.StatusNotFound, fmt.Sprintf("unknown %s %q in namespace %s", of.of, n, namespace(r)))
		case !rule.Allows(c, namespace(r), project):
			return lacks(rule, of.operation)
		}
	}
	return nil
}

func (s *server) projectOf(ctx context.Context, of subject, n catalog.Name) (string, error) {
	switch of {
	case oneProject:
		return n.Name, nil
	case oneFunction:
		f, err := s.o.Catalog.Get(ctx, n)
		return f.Metadata.Project(), err
	}
	return "", store.ErrNotFound
}

func lacks(rule access.Rule, what string) error {
	where := "in this project"
	if rule.Scope == access.InAll {
		where = "in all projects"
	}
	return problem.New(http.StatusForbidden, fmt.Sprintf("you may not: %s needs the role %s %s", what, rule.Least, where))
}

// pathValue is what a request's path has in place of {name} of its pattern,
// before the mux has set it.
func pathValue(r *http.Request, pattern, name string) string {
	_, path, ok := strings.Cut(pattern, " ")
	if !ok {
		path = pattern
	}
	given := strings.Split(r.URL.EscapedPath(), "/")
	for i, part := range strings.Split(path, "/") {
		if part == "{"+name+"}" && i < len(given) {
			value, _ := url.PathUnescape(given[i]) // plainAddress has seen it
			return value
		}
	}
	return ""
}

// objectOf is what a request is about, as the audit log has it: names, no
// queries, nothing of what is behind invoke.
func objectOf(r *http.Request, pattern string) string {
	_, path, _ := strings.Cut(pattern, "/api/v1/")
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && !strings.HasSuffix(part, "...}") {
			out = append(out, pathValue(r, pattern, strings.TrimSuffix(name, "}")))
		}
	}
	return strings.Join(out, "/")
}

// bound limits the size of a request's body and the time that it may take.
func (s *server) bound(w http.ResponseWriter, r *http.Request, of right) {
	if of.body >= 0 {
		r.Body = http.MaxBytesReader(w, r.Body, max(of.body, maxObject))
	}
	if of.body == 0 && r.ContentLength != 0 {
		c := http.NewResponseController(w)
		if c.SetReadDeadline(time.Now().Add(cmp.Or(s.o.Sending, maxSending))) == nil { // not where there is no connection
			r.Body = timely{r.Body, c}
		}
	}
}

// timely is a body that has to come in time. What is read afterwards is whether
// the client is still there, for which there is no limit.
type timely struct {
	io.ReadCloser
	c *http.ResponseController
}

func (t timely) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if errors.Is(err, io.EOF) {
		_ = t.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// maxSending is how long a client may take to send an object.
const maxSending = 30 * time.Second

// record tells the audit log what came of a request, if it changed something
// or was refused.
func (s *server) record(e audit.Record, status int) {
	rule := access.Rules()[e.Operation]
	e.Status = status
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound && e.Who != "" && !rule.Reads, status == http.StatusTooManyRequests:
		e.Outcome = audit.Refused
	case rule.Reads || e.Operation == "" || e.Operation == "api.unknown":
		return
	case status >= http.StatusBadRequest:
		e.Outcome = audit.Failed
	default:
		e.Outcome = audit.Done
	}
	if s.o.Audit == nil {
		return
	}
	if err := s.o.Audit.Append(e); err != nil {
		s.o.Log.Error("audit", "error", err)
	}
}

// observed remembers the status that was answered.
type observed struct {
	http.ResponseWriter
	status int
}

func (o *observed) WriteHeader(status int) {
	if o.status == 0 && status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return o.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }
