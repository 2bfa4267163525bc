package cli

import (
	"context"
	"encoding/base64"
	"io"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/build/source"
	"github.com/myelin-run/myelin/cli/spec"
	"github.com/myelin-run/myelin/function"
)

// goVersion is what a new Go function asks for at least.
const goVersion = "1.26"

// request is what the command line wants built.
func request(f *spec.Flags, args []string) (pipeline.Request, error) {
	var r pipeline.Request
	if err := f.Foreign(); err != nil {
		return r, fail(exitUsage, err, "")
	}
	over, err := f.Config()
	if err != nil {
		return r, misused(err)
	}
	r.Overrides, r.Path = over, f.Path
	switch {
	case f.Source != "" && f.Path != "":
		return r, usage("--source and --path: give one of them")
	case f.Source != "" || f.Path != "":
		return r, named(&r, f, args)
	case len(args) > 0:
		r.Path = args[0]
	case f.File != "" || over.Spec.Build.Path != "" || over.Spec.Build.FunctionSourceCode != "":
	default:
		return r, usage("what is to be built? give a path, or --path, --source or --file")
	}
	if r.Path == "" && over.Spec.Build.Path != "" && over.Spec.Build.CodeEntryType == "" {
		r.Path = over.Spec.Build.Path // the user's own word
	}
	return r, nil
}

// named takes the argument for the function's name, as nuctl does when the
// code is given by a flag.
func named(r *pipeline.Request, f *spec.Flags, args []string) error {
	if len(args) > 0 {
		if err := function.SetField(&r.Overrides, "metadata.name", args[0]); err != nil {
			return usage("name %q: %v", args[0], err)
		}
	}
	if f.Source != "" {
		r.Overrides.Spec.Build.FunctionSourceCode = base64.StdEncoding.EncodeToString([]byte(f.Source))
		r.Overrides.Spec.Build.CodeEntryType = "sourceCode"
	}
	return nil
}

// exists tells whether path is a file or directory of this machine.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// stepRunner runs the steps of an artefact's image; nil where no images are made.
type stepRunner func(ctx context.Context, art build.Artefact, log io.Writer) error

// pipeline builds in the data directory of this user.
func (a *app) pipeline(steps stepRunner, images bool) (*pipeline.Pipeline, error) {
	data, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	stager := source.Stager{Networks: a.networks}
	if a.networks == nil { // a user's own command line
		stager.Networks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	return pipeline.New(pipeline.Options{Data: data, Builders: a.parts.Builders(data), Stager: stager, Steps: steps, Images: images}), nil
}

// workspace lets the tools of a language find what is Myelin's in a new
// function: a go.work that names where its packages are, C's headers.
func (a *app) workspace(runtime, dir string) error {
	data, err := a.dataDir()
	if err != nil {
		return err
	}
	b, ok := a.parts.Builders(data)[runtime].(interface{ Workspace(dir string) error })
	if !ok {
		return nil
	}
	return b.Workspace(dir)
}

func completeRuntimes(a *app) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return append([]string{"c", "golang"}, a.parts.Runtimes.Kinds()...), cobra.ShellCompDirectiveNoFileComp
	}
}
