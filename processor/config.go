// Package processor assembles one function's processor: bindings, runtime,
// worker pools, triggers and health, started in this order and stopped in
// reverse. It knows contracts only; which components there are is decided by
// the program.
package processor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/quantity"
)

// Config is processor.yaml: what the platform tells a processor. Authors of
// functions do not edit it.
type Config struct {
	Function function.Config `json:"function"`
	// Dir is the artefact's directory; default: the working directory.
	Dir string `json:"dir,omitempty"`
	// Scratch is a directory of this processor's own for sockets and the like;
	// default: a new one under the system's temporary directory.
	Scratch string `json:"scratch,omitempty"`
	Admin   Admin  `json:"admin,omitzero"`
	Logs    Logs   `json:"logs,omitzero"`
	// Letters says where events are kept that failed for good.
	Letters Letters `json:"letters,omitzero"`
	// Bindings says where data bindings keep their files.
	Bindings Bindings `json:"bindings,omitzero"`
	// Functions says at which URLs this function may call others, by name; "*"
	// stands for any, whose name is added to the path. What it does not say, the
	// environment's MYELIN_FUNCTIONS may.
	Functions map[string]string `json:"functions,omitempty"`
	// Shares says of which triggers the processor takes only a part, or nothing,
	// until it is told otherwise; see [function.Shares].
	Shares function.Shares `json:"shares,omitempty"`
	// Dealer is where the dealer of shards takes beats, as unix:/path or host:port;
	// "": the processor knows none.
	Dealer string `json:"dealer,omitempty"`
	// DrainTimeout is the time from the soft to the hard stop; default: the
	// function's drainTimeout.
	DrainTimeout quantity.Duration `json:"drainTimeout,omitempty"`
	// Recall is how many of the last events are kept in memory to be run again, with
	// nothing taken out: the dev loop's. 0: none.
	Recall int `json:"recall,omitempty"`
	// WriteReady asks for a ReadyFile in the working directory; set when the
	// configuration came from a platform's processor.yaml.
	WriteReady bool `json:"-"`
}

// Admin says where health and metrics are served.
type Admin struct {
	// Listen is "host:port" or "unix:/path"; default ":8082"; "none": nowhere.
	Listen string `json:"listen,omitempty"`
	// Token is what callers have to bring, as Authorization: Bearer TOKEN; "":
	// nothing.
	Token string `json:"token,omitempty"`
	// OpenHealth answers /ready, /live and /metrics without the token, to probes of a
	// cluster and to who collects metrics.
	OpenHealth bool `json:"openHealth,omitempty"`
}

// Letters says where dead letters are kept.
type Letters struct {
	Dir  string        `json:"dir,omitempty"`  // default: "letters" in the working directory; made when it is needed
	Max  int           `json:"max,omitempty"`  // most letters; default 100000; further ones wait
	Size quantity.Size `json:"size,omitempty"` // most bytes of all; default 1 GiB
}

// Bindings says where data bindings keep their files.
type Bindings struct {
	Dir string `json:"dir,omitempty"` // default: "bindings" in the working directory; made when it is needed
}

// Logs says where the two logs go; default: both to standard output.
type Logs struct {
	Processor logs.Sink `json:"processor,omitzero"`
	Function  logs.Sink `json:"function,omitzero"`
}

// DefaultAdmin is where health and metrics are served unless said otherwise.
const DefaultAdmin = ":8082"

// hardStopTime is how long triggers may still take to settle once their
// workers were killed.
const hardStopTime = 3 * time.Second

// LoadConfig reads a processor.yaml.
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	doc, err := document.Parse(path, text)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := doc.Decode(&c); err != nil {
		return Config{}, err
	}
	c.WriteReady = true
	return c, nil
}

// complete fills in defaults and makes paths absolute.
func (c *Config) complete() (err error) {
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return fmt.Errorf("artefact directory: %w", err)
	}
	if c.Letters.Dir == "" {
		c.Letters.Dir = "letters"
	}
	if c.Letters.Dir, err = filepath.Abs(c.Letters.Dir); err != nil {
		return fmt.Errorf("directory of dead letters: %w", err)
	}
	if c.Bindings.Dir == "" {
		c.Bindings.Dir = "bindings"
	}
	if c.Bindings.Dir, err = filepath.Abs(c.Bindings.Dir); err != nil {
		return fmt.Errorf("directory of data bindings: %w", err)
	}
	if c.Admin.Listen == "" {
		c.Admin.Listen = DefaultAdmin
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = c.Function.Spec.DrainTimeout
	}
	return errors.Join(c.Logs.Processor.Validate(), c.Logs.Function.Validate(), c.Shares.Validate())
}
