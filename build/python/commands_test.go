package python

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	for command, want := range map[string][]string{
		`pip install a`:                   {"pip", "install", "a"},
		`pip  install 'a b' "c d" e\ f`:   {"pip", "install", "a b", "c d", "e f"},
		`pip install "a>=1,<2" '' "\""`:   {"pip", "install", "a>=1,<2", "", `"`},
		`pip install 'x; python_version'`: {"pip", "install", "x; python_version"},
	} {
		if got, err := split(command); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q %v", command, got, err)
		}
	}
	for _, command := range []string{"a; b", "a && b", "a | b", "a $(b)", `a "$(b)"`, "a `b`", "a > b", "'a", `a\`, "a\nb"} {
		if got, err := split(command); err == nil {
			t.Errorf("%s: %q", command, got)
		}
	}
}

// Whatever is written, no option gets through that says where to install.
func FuzzPipArguments(f *testing.F) {
	f.Add("pip install --target=/ x")
	f.Add("pip install -r x '--prefix' /")
	f.Fuzz(func(t *testing.T, command string) {
		args, err := pipArguments(command)
		if err != nil {
			return
		}
		for _, a := range args {
			if a == "--target" || a == "-t" || a == "--prefix" || a == "--root" || a == "--user" {
				i := slices.Index(args, a)
				if i == 0 || !slices.Contains(valuedOptions, args[i-1]) {
					t.Errorf("%q lets %s through", command, a)
				}
			}
		}
	})
}
