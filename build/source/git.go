package source

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build/tool"
)

// git fetches one revision of a repository, without its history.
func (s Stager) git(ctx context.Context, ref Ref, dest string, b *budget) (string, error) {
	repo, revision, err := s.repository(ref)
	if err != nil {
		return "", err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return "", errors.New("git not found in PATH: install it to build from repositories (on Debian: apt install git)")
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dest), ".git-")
	if err != nil {
		return "", fmt.Errorf("clone: %w", err)
	}
	defer os.RemoveAll(tmp)
	var at netip.Addr
	if !s.Local {
		if at, err = s.pin(ctx, repo); err != nil {
			return "", err
		}
	}
	env := gitEnvironment(repo, ref, s.Local, at)
	for _, args := range [][]string{
		{"init", "--quiet", "--template=", "--", tmp},
		{"-C", tmp, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", repo.String(), revision},
		{"-C", tmp, "checkout", "--quiet", "--detach", "FETCH_HEAD"},
	} {
		_, err := tool.Run(ctx, tool.Command{Path: program, Args: args, Env: env})
		var failed *tool.Failed
		if errors.As(err, &failed) {
			return "", mistake("fetch %s of %s: %s", revision, repo.Redacted(), fatal(failed.Output))
		}
		if err != nil {
			return "", fmt.Errorf("fetch %s: %w", repo.Redacted(), err)
		}
	}
	if ref.WorkDir == "" {
		ref.WorkDir = "."
	}
	from, err := within(tmp, ref.WorkDir)
	if err != nil {
		return "", err
	}
	name := path.Base(strings.TrimSuffix(strings.TrimSuffix(repo.Path, "/"), ".git"))
	if from != tmp {
		name = filepath.Base(from)
	}
	return name, copyDir(from, dest, b)
}

// repository checks the address, and takes credentials out of it.
func (s Stager) repository(ref Ref) (repo *url.URL, revision string, err error) {
	repo, err = url.Parse(strings.TrimPrefix(ref.Path, "git+"))
	if err != nil || !strings.Contains(ref.Path, "://") {
		return nil, "", mistake("not the URL of a repository: %s (expected https://, ssh:// or file://)", ref.Path)
	}
	switch {
	case repo.Scheme == "https" || repo.Scheme == "ssh":
	case repo.Scheme == "file" && s.Local:
	default:
		return nil, "", mistake("a repository cannot be fetched by %s: expected https or ssh", repo.Scheme)
	}
	revision = or(ref.Revision, or(repo.Fragment, "HEAD"))
	repo.Fragment = ""
	if strings.HasPrefix(revision, "-") || strings.ContainsAny(revision, " :+^~?*[\\\n") {
		return nil, "", mistake("not a branch, tag or reference: %q", revision)
	}
	return repo, revision, nil
}

// gitEnvironment hands over credentials where other users cannot see them, and
// keeps git from asking questions, from other protocols, and to the address at,
// if there is one, whatever names mean or servers redirect to later.
func gitEnvironment(repo *url.URL, ref Ref, local bool, at netip.Addr) []string {
	protocols := "https:ssh"
	if local {
		protocols += ":file"
	}
	ssh := "ssh -oBatchMode=yes"
	var settings [][2]string
	if at.IsValid() {
		ssh += " -oProxyCommand=none -oHostName=" + at.String()
		resolve := repo.Hostname() + ":" + or(repo.Port(), "443") + ":" + at.String()
		if at.Is6() {
			resolve = repo.Hostname() + ":" + or(repo.Port(), "443") + ":[" + at.String() + "]"
		}
		settings = append(settings, [2]string{"http.followRedirects", "false"}, [2]string{"http.curloptResolve", resolve})
	}
	env := append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL="+protocols,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_SSH_COMMAND="+ssh, "GIT_LFS_SKIP_SMUDGE=1", "LC_ALL=C")
	user, password := ref.Username, ref.Password.Reveal()
	if repo.User != nil && repo.Scheme == "https" {
		user = or(user, repo.User.Username())
		if p, ok := repo.User.Password(); ok {
			password = or(password, p)
		}
		repo.User = nil
	}
	if repo.Scheme == "https" && (user != "" || password != "") {
		token := base64.StdEncoding.EncodeToString([]byte(or(user, "git") + ":" + password))
		settings = append(settings, [2]string{"http." + repo.Scheme + "://" + repo.Host + "/.extraHeader", "Authorization: Basic " + token})
	}
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)))
}

// fatal is what git says went wrong, without the advice around it.
func fatal(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		for _, mark := range []string{"fatal: ", "error: ", "remote: "} {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), mark); ok {
				said = append(said, rest)
			}
		}
	}
	if len(said) == 0 {
		return tool.Tail(output, 3)
	}
	return strings.Join(said[:min(3, len(said))], "; ")
}
