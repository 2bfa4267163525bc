// Package sqlite is the binding of class table that keeps a database in a file,
// which all processors of the function on a machine share. It knows SQLite's
// pragmas and errors; the rest is the engine's.
package sqlite

import (
	"database/sql"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/sqlitefile"
	"github.com/myelin-run/myelin/binding/table"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// Kind is the binding's name in a set.
const Kind = "table/sqlite"

// Config is the binding's attributes. The file is the binding's own path.
type Config struct {
	binding.Limits
	// Busy is how long a statement waits for another's write to end. Default 5s.
	Busy quantity.Duration `json:"busyTimeout,omitempty"`
	// Durable writes to the disk before a commit is done, so that it survives a
	// loss of power, too. Default false: it survives the end of any process.
	Durable bool `json:"durable,omitempty"`
}

func defaults() Config {
	c := Config{Limits: binding.DefaultLimits(), Busy: quantity.Duration(5 * time.Second)}
	c.MaxCalls = 10
	return c
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	if c.Busy < 0 {
		es.Add("busyTimeout", "is %v, expected 0s or more", c.Busy)
	}
	return es.Err()
}

// Factory makes SQLite bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps tables in a file of SQLite.", defaults, build)
}

type bound struct {
	*table.DB
	binding.Limits
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	if s.Spec.URL != "" {
		return nil, binding.Wrong("url", "is not for sqlite: give the file as path")
	}
	if s.Spec.Secret != "" {
		return nil, binding.Wrong("secret", "is not for sqlite")
	}
	path, err := s.Path(s.Spec.Path, s.Name+".sqlite")
	if err != nil {
		return nil, err
	}
	return &bound{table.New(dialect, c.MaxCalls, func() (*sql.DB, error) { return sqlitefile.Open(path, c.Busy.Std(), c.Durable) }), c.Limits}, nil
}

var dialect = table.Dialect{Quote: `"`, Params: 30000, Reason: sqlitefile.Reason}
