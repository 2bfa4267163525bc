// Package problem is how the gateway and the control plane's API say over HTTP
// that something went wrong: application/problem+json (RFC 9457). It knows no
// particular problem.
package problem

import (
	"encoding/json"
	"net/http"
)

// MediaType of a problem.
const MediaType = "application/problem+json"

// Problem is an answer that is an error.
type Problem struct {
	Title  string  `json:"title"` // the status in words
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []Field `json:"errors,omitempty"` // one per mistake, if there are several or they have places
	// Logs are the last lines of what failed.
	Logs []string `json:"logs,omitempty"`
}

// Field is a mistake in one field or at one place of a file.
type Field struct {
	Path   string `json:"path,omitempty"` // spec.env[2].name
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text,omitempty"` // the line of the source
	Detail string `json:"detail"`
}

// New returns a problem with the status in words.
func New(status int, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p *Problem) Error() string { return p.Detail }

// Write answers with p.
func (p *Problem) Write(w http.ResponseWriter) {
	b, err := json.Marshal(p)
	if err != nil {
		http.Error(w, p.Detail, p.Status)
		return
	}
	w.Header().Set("Content-Type", MediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n')) // nobody left to tell
}
