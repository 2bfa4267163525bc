package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/dockerfile"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/cli/spec"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/platform/docker/relay"
)

// built is the answer of `myelin build -o json`.
type built struct {
	Name    string   `json:"name"`
	Runtime string   `json:"runtime"`
	Digest  string   `json:"digest"`
	Dir     string   `json:"dir"`
	Command []string `json:"command,omitempty"`
	Cached  bool     `json:"cached"`
	// Image is the digest of the image that was made, if one was.
	Image string `json:"image,omitempty"`

	tag string
}

func (a *app) buildCommand() *cobra.Command {
	var out output
	var asJSON bool
	c := &cobra.Command{
		Use:     "build PATH",
		Aliases: []string{"bu"},
		Short:   "Build a function to an artefact, without a control plane",
		Long: "Builds what is at PATH (a file, a directory, an archive or a URL) into the artefact store of the\n" +
			"data directory and prints the artefact's digest. Unchanged sources are not built again.\n" +
			"An image needs no container engine: it is the base with layers of the function on it. Only steps that the\n" +
			"function asks for (commands, directives, a Dockerfile) are run by one.",
		Example: "  myelin build hello.py\n  myelin build ./hello -o out      # a Go function: out/hello serves by itself\n" +
			"  myelin build ./hello -o tar:hello.tar && docker load -i hello.tar\n" +
			"  myelin build ./hello --architecture amd64,arm64 -o image:registry.example.com/hello:1\n" +
			"  myelin build hello.py --base oci:python -o image:registry.example.com/hello:1",
	}
	f := spec.AddBuild(c.Flags())
	f.AddForeign()
	c.Flags().StringVarP(&out.place, "output", "o", "", "`place` of the result: a directory for the artefact; oci:DIR, tar:FILE or image:NAME for an image of it")
	c.Flags().StringVar(&out.base, "base", "", "`image` that the function's stands on: a name in a registry, oci:DIR or tar:FILE (default scratch, for Go and C)")
	c.Flags().StringSliceVar(&out.architectures, "architecture", nil, "`kinds` of machines that an image is for: amd64, arm64 (default this machine's)")
	c.Flags().StringVar(&out.sbom, "sbom", "", "`file` for a list of what is in the image (CycloneDX), which is attached to the image, too")
	engineFlags(c.Flags(), &out.engine, "the Docker engine that runs the steps of an image, if there are any")
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	_ = c.RegisterFlagCompletionFunc("runtime", completeRuntimes(a)) // the flag is there
	c.Args = atMostOne
	c.RunE = func(_ *cobra.Command, args []string) error {
		r, err := request(f, withoutNoun(args))
		if err != nil {
			return err
		}
		return a.build(r, out, asJSON)
	}
	return c
}

// output is where the result of a build goes, and what it stands on.
type output struct {
	place, base, sbom string
	architectures     []string
	engine            relay.Host
	runner            *dockerfile.Builder // what runs steps of images
}

func (o output) isImage() bool { return image.IsPlace(o.place) }

func (a *app) build(r pipeline.Request, o output, asJSON bool) error {
	for flag, given := range map[string]string{"--base": o.base, "--sbom": o.sbom} {
		if given != "" && !o.isImage() {
			return usage("%s is of images: say -o oci:DIR, -o tar:FILE or -o image:NAME with it", flag)
		}
	}
	var err error
	if o.runner, err = a.stepsOn(o.engine); err != nil {
		return err
	}
	if len(o.architectures) > 0 {
		return a.buildFor(r, o, asJSON)
	}
	out := o.place
	if out != "" && !o.isImage() && exists(out) && !emptyDir(out) {
		return fail(exitConflict, fmt.Errorf("%s is there already and not an empty directory", out), "give another directory, or remove it")
	}
	art, cached, err := a.makeArtefact(r, o)
	if err != nil {
		return err
	}
	b := built{Name: art.Config.Metadata.Name, Runtime: art.Runtime, Digest: art.Digest, Dir: art.Dir, Command: art.Command, Cached: cached}
	switch {
	case o.isImage():
		if b.Image, err = a.makeImage(art, o); err != nil {
			return err
		}
	case out != "":
		if err := export(art.Dir, out); err != nil {
			return fmt.Errorf("copy artefact: %w", err)
		}
		b.Dir = out
	}
	if asJSON {
		return a.writeJSON(b)
	}
	if b.Image != "" {
		fmt.Fprintln(a.term.Out, b.Image)
		return nil
	}
	fmt.Fprintln(a.term.Out, art.Digest)
	if out != "" && len(art.Command) > 0 {
		fmt.Fprintf(a.term.Err, "it serves by itself: %s\n", filepath.Join(out, art.Command[0]))
	}
	return nil
}

// makeArtefact builds and shows how it goes.
func (a *app) makeArtefact(r pipeline.Request, o output) (build.Artefact, bool, error) {
	pl, err := a.pipeline(o.steps(a), o.isImage())
	if err != nil {
		return build.Artefact{}, false, err
	}
	p := a.term.Progress()
	defer p.Close()
	p.Step("build " + r.Path)
	log, done := a.buildLog(p)
	art, cached, err := pl.Build(a.ctx, r, log)
	done()
	if err != nil {
		return art, cached, place(err, r.Path)
	}
	word := "built"
	if cached {
		word = "unchanged"
	}
	p.Done("%s %s %s", word, art.Config.Metadata.Name, a.term.OnErr(terminal.Dim, short(art.Digest)))
	return art, cached, nil
}

// steps runs those of an image; nil if none is made.
func (o output) steps(a *app) stepRunner {
	if !o.isImage() {
		return nil
	}
	return func(ctx context.Context, art build.Artefact, log io.Writer) error {
		return a.runSteps(ctx, imageRequest{art: art, base: o.base, forced: true, runner: o.runner, log: log})
	}
}

// buildLog shows the lines of a build: all of them with -v, else what is to be noted,
// and which step of an image is under way. done waits until all are shown.
func (a *app) buildLog(p *terminal.Progress) (w io.Writer, done func()) {
	r, pw := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		scan := bufio.NewScanner(r)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			if line := scan.Text(); a.verbose || strings.HasPrefix(line, "step ") || strings.HasPrefix(line, "note: ") {
				p.Note("  %s", a.term.OnErr(terminal.Dim, line))
			}
		}
		_, _ = io.Copy(io.Discard, r) // a line too long to show
	}()
	return pw, func() { _ = pw.Close(); <-ended }
}

func short(digest string) string { return digest[:min(12, len(digest))] }

func emptyDir(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// export copies an artefact to out, all or nothing.
func export(dir, out string) error {
	parent := filepath.Dir(filepath.Clean(out))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".myelin-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.CopyFS(tmp, os.DirFS(dir)); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, out)
}
