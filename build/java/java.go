// Package java packages functions written in Java: it compiles them, or lets
// Maven do so, and gathers what they depend on, with the mistakes that can be
// found without running them. It knows nothing of how they are run.
package java

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/build/tool"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// The files of an artefact, beside its sources in src.
const (
	classesDir = "classes"     // what was compiled
	libraryDir = "lib"         // the jars that it needs
	recordFile = "interpreter" // the directory of the Java it was made for; the runtime takes that one if it can
)

// Options say what the builder works with.
type Options struct {
	// Data is the data directory: libraries are kept in its cache.
	Data string
	// Repository is where Maven keeps what it fetches. Default: in Data's cache.
	Repository string
	// Find returns the directory and the version of the Java that the runtime
	// would take for wanted: a path, a version such as "17", or "".
	Find func(ctx context.Context, wanted string) (home, version string, err error)
	// Prepare makes what functions are compiled against: the jar of the SDK, and
	// that of the worker, which finds the handler in the classes.
	Prepare func(ctx context.Context, home string, log io.Writer) (sdk, worker string, err error)
}

// Builder builds Java functions. Any number of builds may run at once.
type Builder struct{ o Options }

// New makes the builder. It opens nothing.
func New(o Options) *Builder { return &Builder{o} }

// kit is what one build works with.
type kit struct {
	home, version string
	sdk, worker   string
	log           io.Writer
}

func (k kit) tool(name string) string { return filepath.Join(k.home, "bin", name) }

// Inputs implements [build.Builder].
func (b *Builder) Inputs(ctx context.Context, src build.Source) ([]string, error) {
	k, err := b.machine(ctx, src.Config)
	if err != nil {
		return nil, err
	}
	inputs := []string{"java", k.home, k.version}
	if src.Foreign() != "" {
		inputs = append(inputs, src.Foreign())
	}
	return inputs, nil
}

// Crosses implements [build.Crosser].
func (b *Builder) Crosses(architecture string) bool { return machine.Known(architecture) }

// machine goes by runtimeAttributes.interpreter, then by the runtime.
func (b *Builder) machine(ctx context.Context, cfg function.Config) (kit, error) {
	_, wanted := function.SplitRuntime(cfg.Spec.Runtime)
	if doc, err := document.Parse("runtimeAttributes", cfg.Spec.RuntimeAttributes); err == nil && len(cfg.Spec.RuntimeAttributes) > 0 {
		var a struct {
			Interpreter string `json:"interpreter"`
		}
		if json.Unmarshal(doc.JSON(), &a) == nil && a.Interpreter != "" {
			wanted = a.Interpreter
		}
	}
	if strings.Contains(wanted, "/") {
		if err := tool.Trusted(wanted); err != nil {
			return kit{}, &build.Error{Msg: fmt.Sprintf("spec.runtimeAttributes.interpreter: %v", err)}
		}
	}
	home, version, err := b.o.Find(ctx, wanted)
	if err != nil {
		return kit{}, &build.Error{Msg: fmt.Sprintf("spec.runtime %s: %v", cfg.Spec.Runtime, err)}
	}
	return kit{home: home, version: version}, nil
}

// Build implements [build.Builder]: the classes are in classes of the artefact,
// the libraries in lib, and the sources, which the function finds in its
// working directory, in src.
func (b *Builder) Build(ctx context.Context, src build.Source, out string, log io.Writer) (build.Result, error) {
	k, err := b.machine(ctx, src.Config)
	if err != nil {
		return build.Result{}, err
	}
	k.log = log
	fmt.Fprintf(log, "building %s for java %s\n", src.Config.Metadata.Name, k.version)
	if len(src.Config.Spec.Build.Commands) > 0 {
		return build.Result{}, &build.Error{Msg: "spec.build.commands: a Java build runs no commands; name libraries in spec.build.dependencies, or bring a pom.xml. Others need the build of a container image, " + build.HowImage}
	}
	if k.sdk, k.worker, err = b.o.Prepare(ctx, k.home, log); err != nil {
		return build.Result{}, &build.Error{Msg: err.Error()}
	}
	if err := os.CopyFS(filepath.Join(out, "src"), os.DirFS(src.Dir)); err != nil {
		return build.Result{}, fmt.Errorf("copy sources: %w", err)
	}
	if err := b.fill(ctx, k, src, out); err != nil {
		return build.Result{}, err
	}
	if err := k.check(ctx, src, out); err != nil {
		return build.Result{}, err
	}
	home := k.home
	if there := src.Foreign(); there != "" {
		if err := fits(out, there); err != nil {
			return build.Result{}, err
		}
		if own, ok := strings.CutSuffix(home, "-"+runtime.GOARCH); ok {
			home = own + "-" + there // as Debian names it
		}
	}
	if err := os.WriteFile(filepath.Join(out, recordFile), []byte(home+"\n"), 0o644); err != nil {
		return build.Result{}, fmt.Errorf("write artefact: %w", err)
	}
	return build.Result{}, ctx.Err()
}

// fits refuses libraries for other machines. A jar that brings them for several is
// fit for each.
func fits(out, architecture string) error {
	unfit, err := machine.Unfit(out, architecture, filepath.Base)
	if err != nil {
		return err
	}
	if len(unfit) > 0 {
		return &build.Error{Msg: fmt.Sprintf("the function has libraries that do not run on %[1]s: %[2]s: take their version for it, or build on a machine of %[1]s", architecture, machine.List(unfit))}
	}
	return nil
}

// fill makes classes and lib, by what the sources are.
func (b *Builder) fill(ctx context.Context, k kit, src build.Source, out string) error {
	if _, err := os.Stat(filepath.Join(src.Dir, pomFile)); err == nil {
		return b.project(ctx, k, src, out)
	}
	if err := errors.Join(copyJars(src.Dir, filepath.Join(out, libraryDir)), b.libraries(ctx, k, src, filepath.Join(out, libraryDir))); err != nil {
		return err
	}
	files, err := sources(src.Dir)
	if err != nil {
		return fmt.Errorf("list sources: %w", err)
	}
	classes := filepath.Join(out, classesDir)
	if len(files) > 0 {
		return k.compile(ctx, src.Dir, files, classes, jars(filepath.Join(out, libraryDir)))
	}
	return copyClasses(src.Dir, classes)
}

// aside are directories that are no part of the function.
var aside = []string{"test", "target", "build", "node_modules"}

// test is the name of a file that tests others.
var test = regexp.MustCompile(`Tests?\.java$`)

// sources lists the Java files of a function, without its tests.
func sources(dir string) (files []string, err error) {
	err = walk(dir, func(rel string) error {
		if filepath.Ext(rel) == ".java" && filepath.Base(rel) != "module-info.java" && !test.MatchString(rel) {
			files = append(files, rel)
		}
		return nil
	})
	return files, err
}

func walk(dir string, each func(rel string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		switch {
		case err != nil || rel == ".":
			return err
		case d.IsDir() && (slices.Contains(aside, rel) || rel == filepath.Join("src", "test") || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		return each(rel)
	})
}

// copyJars gathers the jars that the sources bring.
func copyJars(dir, to string) error {
	return walk(dir, func(rel string) error {
		if filepath.Ext(rel) != ".jar" {
			return nil
		}
		return copyFile(filepath.Join(dir, rel), filepath.Join(to, filepath.Base(rel)))
	})
}

// copyClasses takes over what was compiled before: a jar that was unpacked.
func copyClasses(dir, to string) error {
	any := false
	err := walk(dir, func(rel string) error {
		if filepath.Ext(rel) != ".class" {
			return nil
		}
		any = true
		return copyFile(filepath.Join(dir, rel), filepath.Join(to, rel))
	})
	if err == nil && !any && len(jars(dir)) == 0 {
		return &build.Error{Msg: "there is nothing of Java in the sources: no *.java, no jar, no pom.xml"}
	}
	return err
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o644)
	}
	return err
}

func jars(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "*.jar"))
	return found
}
