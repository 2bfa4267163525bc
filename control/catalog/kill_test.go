package catalog

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
)

const publisherEnv = "CATALOG_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(publisherEnv); dir != "" {
		fmt.Println("error", publishForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// publishForEver changes the function, publishes it, moves an alias there and
// says so, and removes a version that nothing names now and then.
func publishForEver(dir string) error {
	ctx := context.Background()
	s, err := etcd.Open(ctx, etcd.Options{Dir: dir, Reserve: -1})
	if err != nil {
		return err
	}
	c := New(s)
	fam, err := c.family(ctx, hello)
	if err != nil {
		return err
	}
	for n := fam.Last + 1; ; n++ {
		if err := c.Put(ctx, config(fmt.Sprint("text of ", n)), ""); err != nil {
			return err
		}
		v, _, err := c.Publish(ctx, hello, "", "")
		if err != nil {
			return err
		}
		fmt.Println("published", v.Number, v.Config.Spec.Description)
		if _, err := c.PutAlias(ctx, prod(v.Label()), "", Author{}); err != nil {
			return err
		}
		fmt.Println("moved", v.Number, "to")
		if v.Number%5 == 0 {
			if err := c.DeleteVersion(ctx, Deployment{hello, v.Number - 2}); err != nil {
				return err
			}
			fmt.Println("deleted", v.Number-2, "of")
		}
	}
}

// Whatever moment the writer of versions and aliases is killed at, what it
// acknowledged is there, whole, no number is another's, and an alias leads to
// versions that are there.
func TestKilledPublisherLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	said := map[int]string{} // what each version was when it was acknowledged
	gone, moved := map[int]bool{}, 0
	for round := range 5 {
		publishAndKill(t, dir, 17+6*round, func(what string, n int, text string) {
			switch what {
			case "published":
				if was, twice := said[n]; twice && was != text {
					t.Errorf("number %d was given to %q and to %q", n, was, text)
				}
				said[n] = text
			case "moved":
				moved = n
			case "deleted":
				gone[n] = true
			}
		})
		s, err := etcd.Open(t.Context(), etcd.Options{Dir: dir, Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		checkPublished(t, New(s), said, gone, moved)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(said) < 20 || len(gone) < 2 {
		t.Errorf("only %d published and %d deleted", len(said), len(gone))
	}
}

func checkPublished(t *testing.T, c *Catalog, said map[int]string, gone map[int]bool, moved int) {
	t.Helper()
	there := map[int]string{}
	vs, _, err := c.Versions(t.Context(), hello)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		there[v.Number] = v.Config.Spec.Description
		if v.Artefact == "" || v.Function != hello.Name || !strings.HasPrefix(v.Config.Spec.Description, "text of ") {
			t.Errorf("half of version %d is there: %+v", v.Number, v)
		}
		if gone[v.Number] {
			t.Errorf("version %d was deleted and is there again", v.Number)
		}
	}
	// One that went without anybody hearing of it is due after each fifth.
	for n, text := range said {
		if !gone[n] && there[n] != text && (n%5 != 3 || there[n] != "") {
			t.Errorf("version %d was acknowledged as %q and is %q", n, text, there[n])
		}
	}
	a, err := c.Alias(t.Context(), hello, "prod")
	if err != nil {
		t.Fatal(err)
	}
	leads, err := function.ParseVersion(a.Spec.Versions[0].Version)
	if err != nil || leads < moved || there[leads] == "" || len(a.Status.History) == 0 || a.Status.History[0].Spec.Versions[0].Version != a.Spec.Versions[0].Version {
		t.Errorf("the alias was moved to %d and leads to %d: %+v", moved, leads, a.Status.History)
	}
}

// publishAndKill kills a writer after it has said n things.
func publishAndKill(t *testing.T, dir string, n int, heard func(what string, n int, text string)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), publisherEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		number, text, _ := strings.Cut(rest, " ")
		var v int
		if _, err := fmt.Sscan(number, &v); err != nil {
			t.Errorf("the writer said %q", lines.Text())
			break
		}
		heard(what, v, text)
		if seen == n {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
}
