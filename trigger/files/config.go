package files

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/poll"
)

// What becomes of a file that is done.
const (
	Move   = "move"
	Delete = "delete"
)

// What of a file is the event's body.
const (
	Content = "content"
	Nothing = "none"
)

// Config is the trigger's attributes.
type Config struct {
	// Directory whose files are taken. Required, and absolute.
	Directory string `json:"directory"`
	// Pattern that the names of files fulfil, such as *.csv. Default *. Names that
	// begin with a dot are left alone.
	Pattern string `json:"pattern,omitempty"`
	// Settle is how long a file must not have changed. One that is moved into the
	// directory is taken at once. Default 1s.
	Settle quantity.Duration `json:"settle,omitempty"`
	// After says what becomes of a file that is done: move (default) or delete.
	After string `json:"after,omitempty"`
	// Done is the directory, within Directory, for files that are done. Default done.
	Done string `json:"done,omitempty"`
	// Failed is the directory, within Directory, for files that are given up.
	// Default failed.
	Failed string `json:"failed,omitempty"`
	// Body of the event: content (default), or none, for functions that read the
	// file themselves.
	Body string `json:"body,omitempty"`
	// MaxSize of a file whose content is read. A larger one has failed. Default 64Mi.
	MaxSize quantity.Size `json:"maxSize,omitempty"`
	// Interval between two looks at the directory. Default 1s.
	Interval quantity.Duration `json:"interval,omitempty"`
	// Jitter is by how much an interval may be longer, at random. Default: a tenth
	// of the interval.
	Jitter *quantity.Duration `json:"jitter,omitempty"`
}

func defaults() Config {
	return Config{Pattern: "*", Settle: quantity.Duration(time.Second), After: Move, Done: "done", Failed: "failed", Body: Content, MaxSize: 64 << 20, Interval: poll.Defaults().Interval}
}

// pace is when the directory is looked at.
func (c *Config) pace() *poll.Config {
	return &poll.Config{Interval: c.Interval, Jitter: c.Jitter, PageSize: 1}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.pace().Check(&es)
	switch {
	case c.Directory == "":
		es.Add("directory", "is required, such as /data/in")
	case !filepath.IsAbs(c.Directory):
		es.Add("directory", "is %q, expected an absolute path, such as /data/in", c.Directory)
	}
	if _, err := path.Match(c.Pattern, "x"); err != nil || c.Pattern == "" || strings.Contains(c.Pattern, "/") {
		es.Add("pattern", "is %q, expected a pattern of names such as *.csv", c.Pattern)
	}
	for field, name := range map[string]string{"done": c.Done, "failed": c.Failed} {
		if name == "" || name == "." || name == ".." || name == private || strings.ContainsAny(name, "/\x00") || len(name) > 200 {
			es.Add(field, "is %.100q, expected the name of a directory within the other", name)
		}
	}
	if c.Done == c.Failed && c.After == Move {
		es.Add("failed", "is %q, and so is done", c.Failed)
	}
	word(&es, "after", c.After, Move, Delete)
	word(&es, "body", c.Body, Content, Nothing)
	if c.Settle < 0 {
		es.Add("settle", "is %v, expected 0s or more", c.Settle)
	}
	if c.MaxSize < 1 || c.MaxSize > 1<<31 {
		es.Add("maxSize", "is %v, expected 1 to 2Gi", c.MaxSize)
	}
	return es.Err()
}

func word(es *document.Errors, field, got string, known ...string) {
	if !slices.Contains(known, got) {
		es.Add(field, "is %q%s, expected %s", got, document.DidYouMean(got, known), strings.Join(known, " or "))
	}
}
