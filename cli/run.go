package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/build/signature"
	"github.com/myelin-run/myelin/cli/spec"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
)

func (a *app) runCommand() *cobra.Command {
	var out format
	var noWait bool
	var signKey string
	c := &cobra.Command{
		Use:     "run PATH|ARTEFACT",
		Aliases: []string{"deploy"},
		Short:   "Build a function, deploy it, and wait until it serves",
		Long: "Builds what is at PATH (a file, a directory, an archive or a URL), or takes the artefact with a digest,\n" +
			"and makes it what runs under the function's name. A former version serves until the new one is ready.\n" +
			"With --path or --source the argument is the function's name, as in nuctl deploy.",
		Example: "  myelin run hello.py\n  myelin run ./hello --env LEVEL=high --replicas 2\n  myelin deploy hello --path ./hello --runtime python",
		Args:    atMostOne,
	}
	f := spec.AddBuild(c.Flags())
	f.AddDeploy()
	f.AddForeign()
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until the function serves")
	c.Flags().StringVar(&signKey, "sign-key", "", "`file` with a private key that signs what was built, for a control plane that asks for signatures")
	_ = c.RegisterFlagCompletionFunc("runtime", completeRuntimes(a)) // the flag is there
	addFormat(c, &out, "table", "json", "yaml")
	c.RunE = func(_ *cobra.Command, args []string) error {
		r, err := request(f, withoutNoun(args))
		if err != nil {
			return err
		}
		return a.run(r, out, noWait, signKey)
	}
	return c
}

func (a *app) run(r pipeline.Request, out format, noWait bool, signKey string) error {
	if _, err := a.client().Version(a.ctx); err != nil {
		return a.asked(err)
	}
	p := a.term.Progress()
	defer p.Close()
	cfg, err := a.prepare(r, signKey, p)
	if err != nil {
		return a.interrupted(err, "interrupted while it was built; nothing was deployed")
	}
	c := a.clientFor(cfg.Metadata.Namespace)
	p.Step("deploy " + cfg.Metadata.Name)
	stored, err := c.Put(a.ctx, cfg)
	if err != nil {
		return a.interrupted(a.asked(err), "interrupted; it may have been deployed: myelin get function "+cfg.Metadata.Name)
	}
	if !noWait {
		stored, err = a.awaitReady(c, stored, p)
		if err != nil {
			return a.interrupted(err, fmt.Sprintf("interrupted; %s is deployed and goes on starting: myelin get function %s", cfg.Metadata.Name, cfg.Metadata.Name))
		}
	}
	p.Close()
	if out.machine() {
		return a.write(out, stored)
	}
	if where := urlOf(stored.Status); where != "" {
		fmt.Fprintln(a.term.Out, where)
	}
	return nil
}

// interrupted says in what state things are, if it was Ctrl-C.
func (a *app) interrupted(err error, text string) error {
	if a.ctx.Err() == nil {
		return err
	}
	return fail(exitInterrupted, errors.New(text), "")
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// prepare returns the configuration to store, the artefact being built.
func (a *app) prepare(r pipeline.Request, signKey string, p *terminal.Progress) (function.Config, error) {
	cfg, art, err := a.artefactNamed(r)
	if err != nil {
		return cfg, err
	}
	if art.Digest == "" {
		p.Step("build " + r.Path)
		var src build.Source
		if src, art, err = a.upload(r, p); err != nil {
			return cfg, err
		}
		cfg = src.Config
		p.Done("built %s %s", cfg.Metadata.Name, a.term.OnErr(terminal.Dim, short(art.Digest)))
	}
	if a.namespace != "" {
		cfg.Metadata.Namespace = a.namespace
	}
	annotations := map[string]string{plan.ArtefactAnnotation: art.Digest}
	for k, v := range cfg.Metadata.Annotations {
		if k != plan.ArtefactAnnotation {
			annotations[k] = v
		}
	}
	if signKey != "" {
		if annotations[signature.Annotation], err = signedBy(signKey, cfg.Metadata.Name, art.Content); err != nil {
			return cfg, err
		}
	}
	cfg.Metadata.Annotations = annotations
	return cfg, nil
}

// artefactNamed finds out whether the request names an artefact, by its digest
// or its directory; the artefact has no digest if it does not.
func (a *app) artefactNamed(r pipeline.Request) (cfg function.Config, art build.Artefact, err error) {
	meta := filepath.Join(r.Path, "artefact.json")
	if digestForm.MatchString(r.Path) && !exists(r.Path) {
		data, err := a.dataDir()
		if err != nil {
			return cfg, art, err
		}
		got, err := find(data, r.Path)
		if err != nil {
			return cfg, art, err
		}
		return function.Merge(got.Config, r.Overrides), got, nil
	}
	if r.Path == "" || !exists(meta) {
		return cfg, art, nil
	}
	text, err := os.ReadFile(meta)
	if err != nil {
		return cfg, art, err
	}
	var got build.Artefact
	if err := json.Unmarshal(text, &got); err != nil || got.Digest == "" {
		return cfg, art, usage("%s: not an artefact", meta)
	}
	return function.Merge(got.Config, r.Overrides), got, nil
}

// find returns the artefact whose digest begins so.
func find(data, prefix string) (build.Artefact, error) {
	store := artefact.New(data)
	if len(prefix) < 64 {
		found, _ := filepath.Glob(filepath.Join(data, "artefacts", prefix+"*")) // hexadecimal digits are no pattern
		if len(found) > 1 {
			return build.Artefact{}, usage("%d artefacts have digests that begin with %s: give more of it", len(found), prefix)
		}
		if len(found) == 1 {
			prefix = filepath.Base(found[0])
		}
	}
	got, err := build.Artefact{}, fs.ErrNotExist
	if len(prefix) == 64 {
		got, err = store.Get(prefix)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return got, fail(exitNotFound, fmt.Errorf("there is no artefact %s in %s, nor a file of that name", short(prefix), data), "")
	}
	return got, err
}

// slack is what a deployment may take beyond the function's readiness timeout.
const slack = 15 * time.Second

// awaitReady follows the function until it serves what was stored.
func (a *app) awaitReady(c *client.Client, f function.Function, p *terminal.Progress) (function.Function, error) {
	name, version := f.Metadata.Name, f.Metadata.ResourceVersion
	full := f.Config
	function.Defaults(&full)
	limit := time.Duration(full.Spec.ReadinessTimeoutSeconds)*time.Second + slack
	ctx, cancel := context.WithTimeout(a.ctx, limit)
	defer cancel()
	p.Step("start " + name)
	last := f
	err := c.Watch(ctx, "", func(e client.Event) error {
		if e.Function.Metadata.Name != name {
			return nil
		}
		last = e.Function
		return settled(last, version, p)
	})
	switch {
	case errors.Is(err, errSettled):
		err = nil
		p.Done("%s is %s", name, last.Status.State)
	case ctx.Err() != nil && a.ctx.Err() == nil:
		err = fail(exitNotReady, fmt.Errorf("%s is not ready within %v: it is %s%s", name, limit, last.Status.State, why(last.Status)), "see: myelin logs "+name+" --processor")
	default:
		err = a.asked(err)
	}
	return last, err
}

var errSettled = errors.New("settled")

// settled tells whether a status is the last word about a version.
func settled(f function.Function, version string, p *terminal.Progress) error {
	s := f.Status
	if f.Metadata.ResourceVersion != version {
		return fail(exitConflict, fmt.Errorf("%s was deployed again, by somebody else, meanwhile", f.Metadata.Name), "")
	}
	if fmt.Sprint(s.Observed) != version {
		return nil
	}
	switch s.State {
	case function.Ready, function.Disabled, function.Asleep:
		return errSettled
	case function.Failed:
		reason, lines := because(s.Message, s.Logs)
		return fail(exitNotReady, fmt.Errorf("%s does not start: %s", f.Metadata.Name, strings.Join(append([]string{reason}, lines...), "\n  ")), "see: myelin logs "+f.Metadata.Name)
	}
	p.Step(fmt.Sprintf("start %s: %s%s", f.Metadata.Name, s.State, why(s)))
	return nil
}

// why is what a status says beside the state.
func why(s function.Status) string {
	if s.Message == "" {
		return ""
	}
	reason, _ := because(s.Message, s.Logs)
	return ": " + reason
}

// urlOf is where a function is called.
func urlOf(s function.Status) string {
	switch {
	case s.URL != "":
		return s.URL
	case s.Address != "":
		return "http://" + s.Address
	}
	return ""
}
