package function

import (
	"fmt"
	"strconv"
	"time"
)

// The other kinds of objects that concern functions.
const (
	VersionKind = "Version"
	AliasKind   = "Alias"
	MappingKind = "EventMapping"
)

// Latest stands where a version is named for the working copy of the function,
// which every deploy changes.
const Latest = "$latest"

// Version is a function as it was when it was published. It never changes, and
// its number is never another's.
type Version struct {
	// The function's namespace.
	Namespace string `json:"namespace"`
	// The function's name.
	Function string `json:"function"`
	// Its number, from 1.
	Number int `json:"version"`
	// Digest of the artefact that it runs.
	Artefact string `json:"artefact"`
	// The whole configuration, as it was.
	Config Config `json:"config"`
	// Why it was published, in the publisher's words.
	Note string `json:"note,omitempty"`
	// Who published it.
	Publisher string `json:"publisher,omitempty"`
	// When it was published.
	Created time.Time `json:"created"`
	// What is now. It is no part of what was published.
	Status VersionStatus `json:"status,omitzero"`
}

// VersionStatus is how a version is now.
type VersionStatus struct {
	Status
	// The aliases and event mappings that name it, as "alias prod" and "mapping orders".
	NamedBy []string `json:"namedBy,omitempty"`
	// When the last of those that named it left it; it runs on for a while.
	Left time.Time `json:"left,omitzero"`
}

// Stopped is the state of a version that nothing names: it is kept and does
// not run.
const Stopped State = "stopped"

// Label is how the version is written where a version is named.
func (v Version) Label() string { return strconv.Itoa(v.Number) }

// ParseVersion reads what names a version: a number from 1, or 0 for "" and
// "$latest".
func ParseVersion(s string) (int, error) {
	if s == "" || s == Latest {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || strconv.Itoa(n) != s {
		return 0, fmt.Errorf("%q is not a version: want a number such as 3, or %s", s, Latest)
	}
	return n, nil
}

// VersionLabel writes what [ParseVersion] reads.
func VersionLabel(n int) string {
	if n == 0 {
		return Latest
	}
	return strconv.Itoa(n)
}
