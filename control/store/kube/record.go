package kube

import (
	_ "embed"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/myelin-run/myelin/control/kubeapi"
	"github.com/myelin-run/myelin/control/store"
)

// The kind of the store's own objects.
const (
	group      = "internal.myelin.run"
	version    = "v1"
	kind       = "Record"
	plural     = "records"
	storeLabel = "internal.myelin.run/store" // whose record it is
)

var records = kubeapi.Resource{Group: group, Version: version, Plural: plural}

//go:embed records.json
var definition []byte

// format is the number of the records' format: it grows when an older program could
// not read what a newer one writes.
const format = 1

// Definition is the kind that the store needs the cluster to know.
func Definition() (kubeapi.Definition, error) { return kubeapi.Define(format, definition) }

// record is one object of the store. It never changes: it holds either a commit, whose
// number is in its name, or a value that is too large to be with others in one.
type record struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
	Commit     *commit           `json:"commit,omitempty"`
	Part       *part             `json:"part,omitempty"`
}

// commit is what was changed together. Revisions are the numbers of commits: each is
// made under the name that is next, which only one writer can have.
type commit struct {
	Number store.Revision `json:"number"`
	// By is a word that no other commit has: by it a writer that got no answer knows
	// its own.
	By  string   `json:"by"`
	Ops []change `json:"ops"`
}

// change is one op of a commit. Without value and part the key is deleted.
type change struct {
	Key   string  `json:"key"`
	Value *[]byte `json:"value,omitempty"`
	Part  string  `json:"part,omitempty"` // name of the record that holds the value
}

func (c change) deletes() bool { return c.Value == nil && c.Part == "" }

type part struct {
	Value []byte `json:"value"`
}

func (s *Store) nameOf(n store.Revision) string { return fmt.Sprintf("%s-c%016d", s.o.Name, n) }

func (s *Store) at(name string) kubeapi.Address {
	return kubeapi.Address{Resource: records, Namespace: s.client.Namespace(), Name: name}
}

// label selects the store's own records.
func (s *Store) label() string { return storeLabel + "=" + s.o.Name }

func (s *Store) newRecord(name string) record {
	return record{APIVersion: group + "/" + version, Kind: kind,
		Metadata: metav1.ObjectMeta{Name: name, Namespace: s.client.Namespace(), Labels: map[string]string{storeLabel: s.o.Name}}}
}

func parse(raw []byte) (r record, err error) {
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("read record: %w", err)
	}
	if r.Commit == nil && r.Part == nil {
		return r, fmt.Errorf("read record %s: it is empty", r.Metadata.Name)
	}
	return r, nil
}
