// Package api is the control plane over HTTP: functions, their logs, their
// builds. It checks what it is given and stores it; what follows from that is
// the reconciler's. It knows no platform, builder or store by name.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/api/openapi"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/history"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/scaler"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// SourceRef says where the source of a build is.
type SourceRef struct {
	// Archive is the path of a tar.gz. The builder reads it and keeps nothing
	// in its place; it is removed after the build.
	Archive string
}

// Builder makes artefacts.
type Builder interface {
	// Build builds src, whose function.yaml cfg is laid over, and reports
	// progress to log, a line at a time. A mistake of the user's is a
	// [*build.Error] or [document.Errors].
	Build(ctx context.Context, cfg function.Config, src SourceRef, log io.Writer) (build.Artefact, error)
}

// History remembers what functions did.
type History interface {
	// Of returns at most so many points of a function, those after since and of
	// these the newest; All those of all functions of a namespace, "" for all.
	Of(n catalog.Name, since time.Time, most int) []history.Point
	All(namespace string, since time.Time, most int) map[catalog.Name][]history.Point
	// Sources are what came to a function by each of its triggers in the last span.
	Sources(n catalog.Name) []history.Source
}

// Options of the API.
type Options struct {
	Catalog    *catalog.Catalog
	Logs       platform.Logs          // nil: there are none
	Processors platform.Processors    // nil: they cannot be asked
	Letters    platform.Letters       // nil: dead letters cannot be reached
	Dealer     Dealer                 // nil: nothing is dealt
	Starts     func() []scaler.Starts // nil: nobody counts them
	History    History                // nil: nobody remembers what functions did
	Captures   Captures               // nil: nothing can be captured
	Builder    Builder                // nil: nothing can be built
	Sources    *files.Store           // nil: no sources are kept
	Temp       string                 // where uploads lie while they are built
	// CheckSource says what is wrong with the source of a mapping, by its
	// kind; nil: any is taken.
	CheckSource func(name string, t function.Trigger) error
	// Describer writes AsyncAPI documents; nil: nobody does.
	Describer Describer
	Version   string
	// Hosts are the names under which the API may be asked besides those of
	// the loopback; a web page of another name is refused.
	Hosts []string
	// Heartbeat is how often a quiet watch says that it lives; default 15 s.
	Heartbeat time.Duration
	// Sending is how long a client may take to send an object; default 30 s.
	Sending time.Duration
	Log     *slog.Logger

	Gate    *access.Gate    // nil: nobody is asked who they are
	SignIn  SignIn          // nil: nobody signs in by an issuer
	Tokens  *access.Tokens  // nil: there are none
	Secrets *secret.Secrets // nil: there are none
	Audit   *audit.Log      // nil: nothing is recorded
	// Rotate makes a new key for the store and returns its id. May be nil.
	Rotate func(context.Context) (string, error)
}

const (
	maxObject = 1 << 20
	maxSource = 512 << 20
)

type server struct {
	o Options
	// once makes a connection for each invocation: the API does not learn
	// when a function's processes are replaced.
	once *http.Transport
	mux  *http.ServeMux
	// operations are what the API's document says of each route.
	operations map[string]openapi.Operation
	// membership is held for reading while a function joins a project, for
	// writing while a project is deleted.
	membership sync.RWMutex
	crowd      *crowd
}

// New returns the API as a handler.
func New(o Options) http.Handler {
	s := newServer(o)
	for pattern, h := range s.routes() {
		s.mux.HandleFunc(pattern, s.handle(pattern, h))
	}
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.New(http.StatusForbidden, "a web page of another origin may not do this").Write(w)
	}))
	return s.guard(cross.Handler(http.HandlerFunc(s.serve)))
}

func newServer(o Options) *server {
	return &server{
		o: o, mux: http.NewServeMux(), operations: openapi.Operations(),
		once: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, crowd: newCrowd(),
	}
}

// routes are what there is. Each has its operation in the API's document,
// openapi/paths.yaml; a test compares the two.
func (s *server) routes() map[string]handler {
	functions, projects, mappings := s.functions(), s.projects(), s.mappings()
	all := map[string]handler{
		"GET /api/v1/functions":                                     listing(s, functions),
		"POST /api/v1/functions":                                    creating(s, functions),
		"GET /api/v1/functions/{name}":                              getting(s, functions),
		"PUT /api/v1/functions/{name}":                              replacing(s, functions),
		"PATCH /api/v1/functions/{name}":                            applying(s, functions),
		"DELETE /api/v1/functions/{name}":                           deleting(s, functions),
		"GET /api/v1/functions/{name}/logs":                         s.logs,
		"GET /api/v1/functions/{name}/sources":                      s.sources,
		"GET /api/v1/functions/{name}/asyncapi":                     s.describeFunction,
		"GET /api/v1/functions/{name}/figures":                      s.oneFigures,
		"GET /api/v1/functions/{name}/bindings":                     s.bindings,
		"GET /api/v1/functions/{name}/triggers":                     s.triggers,
		"POST /api/v1/functions/{name}/triggers/{trigger}/{verb}":   s.steer,
		"GET /api/v1/functions/{function}/dealer":                   s.dealings,
		"GET /api/v1/functions/{function}/dealer/{trigger}":         s.dealing,
		"GET /api/v1/functions/{name}/letters":                      s.letters,
		"DELETE /api/v1/functions/{name}/letters":                   s.purge,
		"GET /api/v1/functions/{name}/letters/{id}":                 s.letter,
		"DELETE /api/v1/functions/{name}/letters/{id}":              s.dropLetter,
		"POST /api/v1/functions/{name}/letters/{id}/redrive":        s.redrive,
		"POST /api/v1/functions/{name}/captures":                    s.startCapture,
		"GET /api/v1/functions/{name}/captures":                     s.captures,
		"GET /api/v1/functions/{name}/captures/{id}":                s.capture,
		"DELETE /api/v1/functions/{name}/captures/{id}":             s.removeCapture,
		"POST /api/v1/functions/{name}/captures/{id}/end":           s.endCapture,
		"POST /api/v1/functions/{name}/replay":                      s.replay,
		"/api/v1/functions/{name}/invoke":                           s.invoke,
		"/api/v1/functions/{name}/invoke/{path...}":                 s.invoke,
		"POST /api/v1/functions/{name}/versions":                    s.publish,
		"GET /api/v1/functions/{name}/versions":                     s.versions,
		"POST /api/v1/functions/{name}/versions/collect":            s.collect,
		"GET /api/v1/functions/{name}/versions/{version}":           s.getVersion,
		"DELETE /api/v1/functions/{name}/versions/{version}":        s.deleteVersion,
		"GET /api/v1/functions/{function}/aliases":                  s.ofFunction(listing),
		"POST /api/v1/functions/{function}/aliases":                 s.ofFunction(creating),
		"GET /api/v1/functions/{function}/aliases/{name}":           s.ofFunction(getting),
		"PUT /api/v1/functions/{function}/aliases/{name}":           s.ofFunction(replacing),
		"PATCH /api/v1/functions/{function}/aliases/{name}":         s.ofFunction(applying),
		"DELETE /api/v1/functions/{function}/aliases/{name}":        s.ofFunction(deleting),
		"POST /api/v1/functions/{function}/aliases/{name}/rollback": s.rollback,
		"GET /api/v1/functions/{function}/rollouts":                 s.rolling(listing),
		"POST /api/v1/functions/{function}/rollouts":                s.rolling(creating),
		"GET /api/v1/functions/{function}/rollouts/{name}":          s.rolling(getting),
		"PUT /api/v1/functions/{function}/rollouts/{name}":          s.rolling(replacing),
		"PATCH /api/v1/functions/{function}/rollouts/{name}":        s.rolling(applying),
		"DELETE /api/v1/functions/{function}/rollouts/{name}":       s.rolling(deleting),
		"POST /api/v1/functions/{function}/rollouts/{name}/{verb}":  s.steerRollout,
		"GET /api/v1/functions/{function}/jobs":                     s.working(listing),
		"POST /api/v1/functions/{function}/jobs":                    s.working(creating),
		"GET /api/v1/functions/{function}/jobs/{name}":              s.working(getting),
		"DELETE /api/v1/functions/{function}/jobs/{name}":           s.working(deleting),
		"GET /api/v1/functions/{function}/jobs/{name}/items":        s.jobItems,
		"POST /api/v1/functions/{function}/jobs/{name}/items":       s.addJobItems,
		"POST /api/v1/functions/{function}/jobs/{name}/{verb}":      s.steerJob,
		"GET /api/v1/projects":                                      listing(s, projects),
		"POST /api/v1/projects":                                     creating(s, projects),
		"GET /api/v1/projects/{name}":                               getting(s, projects),
		"PUT /api/v1/projects/{name}":                               replacing(s, projects),
		"PATCH /api/v1/projects/{name}":                             applying(s, projects),
		"DELETE /api/v1/projects/{name}":                            deleting(s, projects),
		"GET /api/v1/mappings":                                      listing(s, mappings),
		"POST /api/v1/mappings":                                     creating(s, mappings),
		"GET /api/v1/mappings/{name}":                               getting(s, mappings),
		"PUT /api/v1/mappings/{name}":                               replacing(s, mappings),
		"PATCH /api/v1/mappings/{name}":                             applying(s, mappings),
		"DELETE /api/v1/mappings/{name}":                            deleting(s, mappings),
		"GET /api/v1/mappings/{name}/asyncapi":                      s.describeMapping,
		"GET /api/v1/mappings/{name}/triggers":                      s.mappingTriggers,
		"POST /api/v1/builds":                                       s.build,
		"GET /api/v1/templates":                                     s.templates,
		"GET /api/v1/templates/{name}":                              s.template,
		"GET /api/v1/schemas/{name}":                                s.schema,
		"GET /api/v1/version":                                       s.version,
		"GET /api/v1/healthz":                                       s.healthz,
		"GET /api/v1/metrics":                                       s.metrics,
		"GET /api/v1/figures":                                       s.figures,
		"GET /api/v1/letters":                                       s.letterboxes,
		"GET /api/v1/triggers":                                      s.triggerKinds,
		"GET /api/v1/dealer":                                        s.allDealings,
		"GET /api/v1/openapi.json":                                  s.document,
		"/":                                                         s.unknown,
	}
	maps.Copy(all, s.manage())
	return all
}

// serve refuses addresses that are not written plainly, which the mux would
// answer with a redirection; what a function is asked is its own.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	plain := path.Clean(r.URL.Path)
	if plain != r.URL.Path && plain+"/" != r.URL.Path && !strings.Contains(r.URL.Path, "/invoke/") {
		problem.New(http.StatusNotFound, "there is nothing at "+r.URL.Path).Write(w)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// handle answers with the problem that h returns.
func (s *server) handle(pattern string, h handler) http.HandlerFunc {
	op, known := s.operations[openapi.Route(pattern)]
	return func(w http.ResponseWriter, r *http.Request) {
		err := checkName(r)
		if err == nil && known {
			err = checkQuery(r, op)
		}
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			p := toProblem(err)
			if p.Status >= 500 {
				s.o.Log.Warn("answer", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			p.Write(w)
		}
	}
}

// toProblem maps errors to statuses; it is the only place that does.
func toProblem(err error) *problem.Problem {
	var (
		p       *problem.Problem
		fields  document.Errors
		field   *document.Error
		mistake *build.Error
		large   *http.MaxBytesError
		busy    *catalog.BusyError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &fields):
	case errors.As(err, &field):
		fields = document.Errors{field}
	case errors.As(err, &mistake):
		p := problem.New(http.StatusUnprocessableEntity, err.Error())
		p.Errors = []problem.Field{{File: mistake.File, Line: mistake.Line, Column: mistake.Column, Text: mistake.Text, Detail: mistake.Msg}}
		if mistake.Output != "" {
			p.Logs = []string{mistake.Output}
		}
		return p
	case errors.Is(err, catalog.ErrOwned):
		return problem.New(http.StatusConflict, err.Error()+": remove the trigger there, or disable the mapping")
	case errors.As(err, &busy):
		return problem.New(http.StatusConflict, err.Error())
	case errors.Is(err, access.ErrUnavailable):
		return problem.New(http.StatusServiceUnavailable, access.ErrUnavailable.Error())
	case errors.Is(err, letterbox.ErrNotFound):
		return problem.New(http.StatusNotFound, err.Error())
	case errors.Is(err, store.ErrFull), errors.Is(err, syscall.ENOSPC):
		return problem.New(http.StatusInsufficientStorage, err.Error())
	case errors.As(err, &large):
		return problem.New(http.StatusRequestEntityTooLarge, err.Error())
	default:
		return problem.New(http.StatusInternalServerError, err.Error())
	}
	p = problem.New(http.StatusUnprocessableEntity, fields.Error())
	for _, f := range fields {
		p.Errors = append(p.Errors, problem.Field{Path: f.Path, File: f.File, Line: f.Line, Column: f.Column, Detail: f.Msg})
	}
	return p
}

func (s *server) version(w http.ResponseWriter, _ *http.Request) error {
	return write(w, http.StatusOK, map[string]string{"version": s.o.Version})
}

// healthz says that the API answers and the store can be read.
func (s *server) healthz(w http.ResponseWriter, r *http.Request) error {
	if err := s.o.Catalog.Reachable(r.Context()); err != nil {
		return problem.New(http.StatusServiceUnavailable, err.Error())
	}
	return write(w, http.StatusOK, map[string]string{"status": "ok"})
}

// document answers with the API's OpenAPI document.
func (s *server) document(w http.ResponseWriter, _ *http.Request) error {
	return send(w, http.StatusOK, openapi.Document())
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// unknown tells an address that is not there from a method that it has not.
func (s *server) unknown(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range methods {
		other := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return problem.New(http.StatusNotFound, "there is nothing at "+r.URL.Path)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return problem.New(http.StatusMethodNotAllowed, fmt.Sprintf("%s cannot be used with %s (allowed: %s)", r.Method, r.URL.Path, strings.Join(allowed, ", ")))
}
