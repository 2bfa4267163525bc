package java

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/tool"
)

const (
	pomFile = "pom.xml"
	// copyLibraries is the goal that gathers what a project depends on.
	copyLibraries = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
)

// provided are the artefacts that the processor brings: group, name.
var provided = [][2]string{{"run.myelin", "myelin-sdk"}, {"io.nuclio", "nuclio-sdk-java"}}

// project lets Maven package a project and takes its jar.
func (b *Builder) project(ctx context.Context, k kit, src build.Source, out string) (err error) {
	if len(src.Config.Spec.Build.Dependencies) > 0 {
		return &build.Error{Msg: "spec.build.dependencies: the sources have a pom.xml: name them there"}
	}
	pom, err := os.ReadFile(filepath.Join(src.Dir, pomFile))
	if err != nil {
		return fmt.Errorf("read %s: %w", pomFile, err)
	}
	s, err := tool.NewStranger(b.o.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	dir, to := filepath.Join(s.Dir, "src"), filepath.Join(s.Dir, libraryDir)
	if err := errors.Join(os.CopyFS(dir, os.DirFS(src.Dir)), os.Mkdir(to, 0o755)); err != nil {
		return fmt.Errorf("prepare maven: %w", err)
	}
	err = b.maven(ctx, s, k, src, dir, string(pom), "-DskipTests", "package", copyLibraries, "-DincludeScope=runtime",
		"-DexcludeArtifactIds="+provided[0][1]+","+provided[1][1], "-DoutputDirectory="+to)
	if err != nil {
		return err
	}
	made := slices.DeleteFunc(jars(filepath.Join(dir, "target")), func(path string) bool {
		name := filepath.Base(path)
		return strings.HasPrefix(name, "original-") || regexp.MustCompile(`-(sources|javadoc|tests|test-sources)\.jar$`).MatchString(name)
	})
	if len(made) != 1 {
		return &build.Error{File: pomFile, Msg: fmt.Sprintf("expected one jar in target after mvn package, and there are %d: %s", len(made), strings.Join(made, ", "))}
	}
	if err := copyFile(made[0], filepath.Join(out, "function.jar")); err != nil {
		return fmt.Errorf("take %s: %w", filepath.Base(made[0]), err)
	}
	return take(to, filepath.Join(out, libraryDir))
}

// take moves libraries to where they are wanted.
func take(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("take libraries: %w", err)
	}
	return artefact.Move(from, to)
}

var coordinates = regexp.MustCompile(`^[\w.-]+:[\w.-]+:[\w.+-]+$`)

// libraries fetches spec.build.dependencies into to. The result is kept by
// their names, so that a change of the code alone fetches nothing.
func (b *Builder) libraries(ctx context.Context, k kit, src build.Source, to string) error {
	wanted := src.Config.Spec.Build.Dependencies
	if len(wanted) == 0 {
		return nil
	}
	var pom strings.Builder
	pom.WriteString("<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>" +
		"<groupId>run.myelin.function</groupId><artifactId>function</artifactId><version>1</version><dependencies>\n")
	for _, d := range wanted {
		if d = strings.TrimSpace(d); !coordinates.MatchString(d) {
			return &build.Error{Msg: fmt.Sprintf("spec.build.dependencies: %q is not group:artefact:version, such as com.google.code.gson:gson:2.10.1", d)}
		}
		p := strings.Split(d, ":")
		fmt.Fprintf(&pom, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", p[0], p[1], p[2])
	}
	pom.WriteString("</dependencies></project>\n")
	sum := sha256.Sum256([]byte(pom.String()))
	if err := os.MkdirAll(b.cache("java"), 0o700); err != nil {
		return fmt.Errorf("create library cache: %w", err)
	}
	there := func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	}
	dir, made, err := artefact.Place(b.cache("java"), hex.EncodeToString(sum[:]), there, func(tmp string) error {
		return b.fetch(ctx, k, src, pom.String(), tmp)
	})
	if err != nil {
		return err
	}
	if !made {
		fmt.Fprintln(k.log, "dependencies are unchanged")
	}
	for _, jar := range jars(filepath.Join(dir, libraryDir)) {
		if err := copyFile(jar, filepath.Join(to, filepath.Base(jar))); err != nil {
			return fmt.Errorf("copy %s: %w", filepath.Base(jar), err)
		}
	}
	return nil
}

func (b *Builder) fetch(ctx context.Context, k kit, src build.Source, pom, tmp string) (err error) {
	s, err := tool.NewStranger(b.o.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	work, to := filepath.Join(s.Dir, "work"), filepath.Join(s.Dir, libraryDir)
	if err := errors.Join(os.Mkdir(work, 0o755), os.Mkdir(to, 0o755), os.WriteFile(filepath.Join(work, pomFile), []byte(pom), 0o644)); err != nil {
		return fmt.Errorf("prepare maven: %w", err)
	}
	if err := b.maven(ctx, s, k, src, work, pom, copyLibraries, "-DincludeScope=runtime", "-DoutputDirectory="+to); err != nil {
		return err
	}
	return take(to, filepath.Join(tmp, libraryDir))
}

func (b *Builder) cache(name string) string { return filepath.Join(b.o.Data, "cache", name) }

// Collect implements [build.Collector]: libraries unused for a month go.
func (b *Builder) Collect() error {
	if err := artefact.Expire(b.cache("java"), 30*24*time.Hour); err != nil {
		return fmt.Errorf("collect java libraries: %w", err)
	}
	return nil
}

// maven runs Maven in dir, with a repository of the builder's own in which the
// SDK is found. One at a time: Maven does not share a repository.
func (b *Builder) maven(ctx context.Context, s *tool.Stranger, k kit, src build.Source, dir, pom string, args ...string) (err error) {
	path, err := osexec.LookPath("mvn")
	if err != nil {
		return &build.Error{Msg: "there is no mvn in PATH (on Debian: apt install maven)"}
	}
	repository := b.o.Repository
	if repository == "" {
		repository = b.cache("maven")
	}
	if err := os.MkdirAll(repository, 0o700); err != nil {
		return fmt.Errorf("create maven repository: %w", err)
	}
	release, err := lock(ctx, repository+".lock")
	if err != nil {
		return err
	}
	defer release()
	repository, back, err := s.Borrow(repository)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back()) }()
	if err := publishSDK(repository, k.sdk, pom); err != nil {
		return fmt.Errorf("publish the sdk to maven: %w", err)
	}
	all := []string{"-B", "-ntp", "-Dstyle.color=never", "-Dmaven.repo.local=" + repository}
	if src.Config.Spec.Build.Offline {
		all = append(all, "-o")
	}
	fmt.Fprintln(k.log, "mvn "+strings.Join(args, " "))
	out, err := s.Run(ctx, tool.Command{Path: path, Args: append(all, args...), Dir: dir,
		Env: append(os.Environ(), "MAVEN_OPTS="+strings.TrimSpace(os.Getenv("MAVEN_OPTS")+s.JavaOptions()), "JAVA_HOME="+k.home, "PATH="+filepath.Join(k.home, "bin")+":"+os.Getenv("PATH"))})
	var failed *tool.Failed
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return fmt.Errorf("run maven: %w", err)
	case mavenError.MatchString(out.All):
		return mistakeOf(out.All, dir)
	}
	return &build.Error{Msg: "mvn failed:\n" + mavenSays(out.All), Output: out.All}
}

// mavenSays picks what counts out of what Maven prints.
func mavenSays(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		_, text, ok := strings.Cut(line, "[ERROR] ") // something else may have left its line open
		if text = strings.TrimSpace(text); ok && text != "" && !strings.Contains(text, "switch") && !strings.HasPrefix(text, "For more information") && !strings.HasPrefix(text, "[Help") {
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		return tool.Tail(output, 8)
	}
	return strings.Join(lines[:min(len(lines), 6)], "\n")
}

var sdkVersion = regexp.MustCompile(`<artifactId>(?:myelin-sdk|nuclio-sdk-java)</artifactId>\s*<version>([\w.-]+)</version>`)

// publishSDK puts the SDK where Maven finds it under its own name and under
// that of Nuclio's, in each version that the project asks for.
func publishSDK(repository, sdk, pom string) error {
	versions := []string{"1.0.0"}
	for _, m := range sdkVersion.FindAllStringSubmatch(pom, -1) {
		versions = append(versions, m[1])
	}
	for _, p := range provided {
		for _, v := range versions {
			base := filepath.Join(repository, filepath.FromSlash(strings.ReplaceAll(p[0], ".", "/")), p[1], v, p[1]+"-"+v)
			text := fmt.Sprintf("<project><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></project>\n", p[0], p[1], v)
			if err := copyFile(sdk, base+".jar"); err != nil {
				return err
			}
			if err := os.WriteFile(base+".pom", []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// lock waits for the lock file at path until ctx is done.
func lock(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock maven repository: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock maven repository: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for another maven: %w", context.Cause(ctx))
		}
	}
}
