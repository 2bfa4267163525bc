package source

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// language is what a file's extension says.
type language struct {
	name, ext string
	// aside are files of the language that hold no handler.
	aside *regexp.Regexp
	// joint tells that the files of a directory are one function together.
	joint bool
}

var languages = []language{
	{name: "golang", ext: ".go", aside: regexp.MustCompile(`_test\.go$`), joint: true},
	{name: "python", ext: ".py", aside: regexp.MustCompile(`^(test_.*|.*_test|conftest|setup|__init__|__main__)\.py$`)},
	{name: "shell", ext: ".sh"},
	{name: "nodejs", ext: ".js", aside: regexp.MustCompile(`\.(test|config)\.js$`)},
	{name: "nodejs", ext: ".mjs", aside: regexp.MustCompile(`\.(test|config)\.mjs$`)},
	{name: "c", ext: ".c", aside: regexp.MustCompile(`^(test_.*|.*_test)\.c$`), joint: true},
	{name: "java", ext: ".java", aside: regexp.MustCompile(`Tests?\.java$`), joint: true},
	{name: "dotnetcore", ext: ".cs", joint: true},
	{name: "ruby", ext: ".rb"},
}

func languageOf(name string) (language, bool) {
	for _, l := range languages {
		if l.name == name {
			return l, true
		}
	}
	return language{}, false
}

func languageNames() string {
	names := make([]string, len(languages))
	for i, l := range languages {
		names[i] = l.name
	}
	return strings.Join(slices.Compact(names), ", ")
}

// candidate is a file that may hold the handler.
type candidate struct {
	file string
	lang language
}

// candidates lists the files of dir that may hold a handler in one of the
// wanted language's files, or in any language's if wanted is "".
func candidates(dir, wanted string) (found []candidate, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		fi, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || !fi.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		l, ok := languageByFile(filepath.Join(dir, e.Name()), fi.Mode()&0o111 != 0)
		if ok && (wanted == "" || wanted == l.name) {
			found = append(found, candidate{e.Name(), l})
		}
	}
	return found, nil
}

// languageByFile goes by the extension; a file without one that can be
// executed is the shell's.
func languageByFile(path string, executable bool) (language, bool) {
	name, ext := filepath.Base(path), filepath.Ext(path)
	for _, l := range languages {
		if l.ext == ext {
			return l, l.aside == nil || !l.aside.MatchString(name)
		}
	}
	if ext == "" && (executable || hasShebang(path)) {
		return languageOf("shell")
	}
	return language{}, false
}

func hasShebang(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [2]byte
	n, _ := f.Read(head[:])
	return bytes.Equal(head[:n], []byte("#!"))
}

// javaProject tells whether dir is a project of Maven's, or holds jars or what
// was in one.
func javaProject(dir string) bool {
	for _, pattern := range []string{"pom.xml", "*.jar", "META-INF/MANIFEST.MF", "*.class"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}
