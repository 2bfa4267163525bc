// Package supervise keeps the replicas of one program running: it starts them
// with a shared listening socket, replaces them new before old, restarts them
// when they crash, and adopts them when the supervisor itself was restarted.
// It knows neither functions nor gateways, only processes that say when they
// are ready.
//
// A supervised process is started in a directory of its own, with LISTEN_FDS
// and LISTEN_FDNAMES for the socket. It writes ready.json, which holds its pid,
// there when it serves; it serves handoff.sock in its scratch directory (see
// package handoff); and it ends after SIGTERM when all it took is done.
package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/platform/local/cgroup"
	"github.com/myelin-run/myelin/platform/local/process"
)

// Version is what shall run. Versions with the same fingerprint are the same.
type Version struct {
	Fingerprint string        `json:"fingerprint"`
	Artefact    string        `json:"artefact,omitempty"`
	Path        string        `json:"path"` // absolute
	Args        []string      `json:"args,omitempty"`
	Replicas    int           `json:"replicas"`
	Socket      string        `json:"socket,omitempty"`  // name of the listening socket; "": none
	Address     string        `json:"address,omitempty"` // where it listens
	Ready       time.Duration `json:"ready"`             // from start to ready
	Drain       time.Duration `json:"drain"`             // from SIGTERM to the end, before it is killed
	Limits      cgroup.Limits `json:"limits"`
	// Extra is what a launcher other than the default has to know.
	Extra json.RawMessage `json:"extra,omitempty"`
	// Kind is of programs that can be parked, "" of one that cannot; see
	// Options.Park.
	Kind string `json:"kind,omitempty"`
	// Prepare fills the new directory of a replica. It is not kept: what was
	// prepared stays for later starts of the same replica.
	Prepare func(Place) error `json:"-"`
}

// Place is where a replica runs.
type Place struct {
	Name    string
	Dir     string // its working directory
	Scratch string // a directory with a short path, for sockets
}

// Options of a group.
type Options struct {
	Dir     string // what is kept about the replicas, and their directories
	Scratch string // parent of the scratch directories; short
	// Launcher starts the replicas' processes; nil: as processes of this machine.
	Launcher Launcher
	// Credential is whom the replicas run as; nil: the same user.
	Credential *syscall.Credential
	// Logs are files whose last lines explain a failed start.
	Logs []string
	// Choose returns addresses to try when none is asked for, best first.
	Choose func(yield func(string) bool)
	// Cgroup is the name of the parent of the replicas' control groups.
	Cgroup string
	// BeforeDrain is called when new replicas are ready and the old ones are
	// about to drain. May be nil.
	BeforeDrain func()
	// Wake is called when a connection has come for a group of no replicas, just
	// before one is started for it: it is not to be ended again for that. It may
	// not wait for the group, which applies nothing meanwhile. nil: none is started.
	Wake func()
	// Park asks whether a group of no replicas may keep a parked process of a
	// kind of program: nil if it may not, else what to call when it has it no
	// longer. Neither may wait for the group. May be nil.
	Park func(kind string) (leave func())
	// Changed is called after every change of a replica. It does not block.
	Changed func()
}

// Record is what is kept about a replica for a later supervisor.
type Record struct {
	process.Identity
	Name     string    `json:"name"`
	Scratch  string    `json:"scratch"`
	Version  Version   `json:"version"`
	Started  time.Time `json:"started,omitzero"`
	Draining bool      `json:"draining,omitempty"`
	Parked   bool      `json:"parked,omitempty"`
	Restarts int       `json:"restarts,omitempty"`
	LastEnd  string    `json:"lastEnd,omitempty"`
}

func (r Record) path(dir string) string { return filepath.Join(dir, r.Name+".json") }

func (r Record) save(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	temp := r.path(dir) + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("save replica: %w", err)
	}
	if err := os.Rename(temp, r.path(dir)); err != nil {
		return fmt.Errorf("save replica: %w", err)
	}
	return nil
}

func loadRecords(dir string) ([]Record, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var out []Record
	var errs []error
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var r Record
		if err := json.Unmarshal(b, &r); err != nil || r.path(dir) != path {
			errs = append(errs, fmt.Errorf("read replica %s: not a replica's record", path))
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}
