package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/mirror"
	"github.com/myelin-run/myelin/control/store/sealed"
	"github.com/myelin-run/myelin/function"
)

// plain is a store that has the contract's methods and nothing else.
type plain struct{ store.Store }

// A catalog in memory below a seal lists what an obvious one, which reads all of
// the disk at each look, lists; at once after each write, by pages and as a
// whole, whatever the key is.
func TestListsAreAsTheirTwins(t *testing.T) {
	dir := t.TempDir()
	disk, err := etcd.Open(t.Context(), etcd.Options{Dir: dir, Reserve: -1, Wrapping: sealed.Wrapping})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	memory, err := mirror.Open(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	keys, err := sealed.LoadKeys(filepath.Join(dir, "keys"), true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sealed.Open(t.Context(), memory, keys)
	if err != nil {
		t.Fatal(err)
	}
	below, err := sealed.Open(t.Context(), plain{disk}, keys)
	if err != nil {
		t.Fatal(err)
	}
	c := New(s)
	r := rand.New(rand.NewPCG(3, 4))
	for step := range 150 {
		n := Name{[]string{"a", "a-b", "default"}[r.IntN(3)], fmt.Sprint("f", r.IntN(12))}
		switch r.IntN(6) {
		case 0:
			err = c.Delete(t.Context(), n, "")
		case 1:
			err = c.SetStatus(t.Context(), n, function.Status{State: function.Ready, Message: fmt.Sprint(step)})
		case 2:
			if step%10 == 0 {
				_, err = s.Rotate(t.Context())
			}
		default:
			cfg := config(fmt.Sprint("text ", step))
			cfg.Metadata.Namespace, cfg.Metadata.Name = n.Namespace, n.Name
			err = c.Put(t.Context(), cfg, "")
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		ns := []string{"", "a", "default"}[r.IntN(3)]
		want, _, err := New(plain{below}).List(t.Context(), ns)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := c.List(t.Context(), ns)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("step %d: %v %s", step, err, d)
		}
		var paged []function.Function
		for after := ""; ; {
			p, err := c.Page(t.Context(), Part{Namespace: ns, After: after, Limit: 1 + r.IntN(5)})
			if err != nil {
				t.Fatal(err)
			}
			paged = append(paged, p.Items...)
			if p.More != len(want)-len(paged) {
				t.Fatalf("step %d: %d more, want %d", step, p.More, len(want)-len(paged))
			}
			if p.More == 0 {
				break
			}
			m := p.Items[len(p.Items)-1].Metadata
			after = m.Namespace + "/" + m.Name
		}
		if len(paged) != len(want) {
			t.Fatalf("step %d: %d on pages, want %d", step, len(paged), len(want))
		}
		for i := range paged {
			if paged[i].Metadata.Name != want[i].Metadata.Name || paged[i].Metadata.ResourceVersion != want[i].Metadata.ResourceVersion || paged[i].Status.Message != want[i].Status.Message {
				t.Fatalf("step %d: %+v, want %+v", step, paged[i], want[i])
			}
		}
	}
}
