package exec

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
)

func TestStartAndKillGroup(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// The child says its own child's pid; both must die.
	p, err := Start(Spec{Path: "/bin/sh", Args: []string{"-c", "sleep 1000 & echo $!; wait"}, Stdout: w, Env: []string{"PATH=/usr/bin:/bin"}})
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32)
	if _, err := r.Read(b); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if st := p.State().Sys().(syscall.WaitStatus); st.Signal() != syscall.SIGKILL || p.Err() == nil {
		t.Errorf("ended with %v, %v", st, p.Err())
	}
	// Once both are dead nobody holds the pipe.
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(b); n != 0 || os.IsTimeout(err) {
		t.Errorf("a child lives on: %d, %v", n, err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("killing what has ended: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	if _, err := Start(Spec{Path: "/no/such/program"}); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
}

func TestLines(t *testing.T) {
	var got []string
	in := "plain\r\n\nbad \xff\x00 bytes \u2028\nümläut\ttab\n" + strings.Repeat("x", MaxLine+500) + "\nlast"
	Lines(strings.NewReader(in), func(l string) { got = append(got, l) })
	want := []string{"plain", `bad \xff\x00 bytes \u2028`, "ümläut\ttab", strings.Repeat("x", MaxLine) + " ... (501 bytes cut)", "last"}
	if !slices.Equal(got, want) {
		t.Errorf("got %.200q\nwant %.200q", got, want)
	}
}

func TestEnviron(t *testing.T) {
	t.Setenv("PROCESSOR_ONLY", "1")
	t.Setenv("PATH", "/somewhere")
	var f function.Config
	f.Metadata.Name = "f"
	f.Spec.Env = []function.EnvVar{{Name: "A", Value: "b=c"}, {Name: "PATH", Value: "/mine"}, {Name: "X", ValueFrom: []byte(`{}`)}}
	env := Environ(f)
	for _, want := range []string{"A=b=c", "PATH=/mine", "NUCLIO_FUNCTION_NAME=f"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %v", want, env)
		}
	}
	for _, e := range env {
		if strings.HasPrefix(e, "PROCESSOR_ONLY") || strings.HasPrefix(e, "X=") {
			t.Errorf("leaked %s", e)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\xff\x1b[0m\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		p := Printable(s)
		if Printable(p) != p {
			t.Errorf("%q is not printable", p)
		}
	})
}
