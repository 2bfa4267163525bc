package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/test/servers"
)

// containers are the benchmarks of functions in containers of a Docker engine. It has a
// network of its own, so clients of what it publishes run there; they are on the same
// machine and kernel.
func containers(o options, work string) []benchmark {
	const goalChange, goalBuild = "<= 0.1 of the whole image", "<= 1 of docker build and docker run"
	var out []benchmark
	for _, r := range []struct {
		name, how, from string
		goal            float64
	}{
		{"docker-socket-proxy", "docker-proxy", "127.0.0.1", 1.5},
		{"docker-socket-nat", "address translation", bridge, 0.9},
	} {
		goal := fmt.Sprintf(">= %g of a published port", r.goal)
		title := "Go function in a container, POST 1 KiB, 64 connections: the socket that is passed to it beside a published port, by " + r.how
		out = append(out, benchmark{name: r.name, title: title, goal: goal, group: "docker", measure: func(ctx context.Context) (Result, error) {
			b, end, err := newBoxed(o, work)
			if err != nil {
				return Result{}, err
			}
			defer end()
			res, err := compare(ctx, o, b.passed(), b.published(r.how, r.from), load{64, 1024})
			res.Name, res.Title, res.Goal, res.Unit = r.name, title, goal, "requests/s"
			res.Met = res.Ratio >= r.goal
			return res, err
		}})
	}
	const titleImage = "A change of a Python function's code, to its image, beside base and image made with nothing kept"
	const titleChange = "A change of a Python function's code, from the command to an answer of its new container, beside base and image made and run with nothing kept"
	const titlePackage = "The same of a function that needs numpy"
	const titleBuild = "The same beside docker build, without its cache, and docker run of a Dockerfile that copies one file onto the same base"
	return append(out,
		benchmark{name: "docker-change-image", title: titleImage, goal: goalChange, group: "docker", measure: func(ctx context.Context) (Result, error) {
			res, err := images(ctx, o, work)
			res.Name, res.Title, res.Goal, res.Met = "docker-change-image", titleImage, goalChange, res.Ratio <= 0.1
			return res, err
		}},
		benchmark{name: "docker-change", title: titleChange, goal: goalChange, group: "docker", measure: func(ctx context.Context) (Result, error) {
			res, err := codeChanges(ctx, o, work, "nothing kept", "", (*boxed).whole)
			res.Name, res.Title, res.Goal, res.Met = "docker-change", titleChange, goalChange, res.Ratio <= 0.1
			return res, err
		}},
		benchmark{name: "docker-change-package", title: titlePackage, goal: goalChange, group: "docker", measure: func(ctx context.Context) (Result, error) {
			res, err := codeChanges(ctx, o, work, "nothing kept", "numpy", (*boxed).whole)
			res.Name, res.Title, res.Goal, res.Met = "docker-change-package", titlePackage, goalChange, res.Ratio <= 0.1
			return res, err
		}},
		benchmark{name: "docker-change-build", title: titleBuild, goal: goalBuild, group: "docker", measure: func(ctx context.Context) (Result, error) {
			res, err := codeChanges(ctx, o, work, "docker build and run", "", (*boxed).dockerfile)
			res.Name, res.Title, res.Goal, res.Met = "docker-change-build", titleBuild, goalBuild, res.Ratio <= 1
			return res, err
		}})
}

// bridge is the address of an engine's machine in the network that containers have by
// default.
const bridge = "172.17.0.1"

// boxed is a Docker engine, and what is measured on it.
type boxed struct {
	o      options
	work   string
	engine *servers.Server
	needs  string // a package of PyPI that Python functions import; "": none
}

func newBoxed(o options, work string) (b *boxed, end func(), err error) {
	h := &holder{}
	engine, err := start(h, servers.Docker)
	if err != nil {
		h.end()
		return nil, nil, err
	}
	return &boxed{o: o, work: work, engine: engine}, h.end, nil
}

// docker runs Docker's command line.
func (b *boxed) docker(ctx context.Context, args ...string) (string, error) {
	return told(exec.CommandContext(ctx, "docker", append([]string{"--host", b.engine.Addr}, args...)...))
}

// told runs a command and returns what it printed.
func told(cmd *exec.Cmd) (string, error) {
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%q: %w: %s", cmd.Args, err, problems.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// passed is a function as the platform runs it.
func (b *boxed) passed() side {
	return side{"passed socket", func(ctx context.Context) (*server, error) {
		p := &plane{o: b.o, work: b.work, args: []string{"--platform", "docker", "--docker-host", b.engine.Addr}}
		if err := p.start(ctx); err != nil {
			return nil, err
		}
		return &server{url: p.own, cmd: p.running.cmd, hidden: true}, nil
	}}
}

// published is the same function as docker run runs it.
func (b *boxed) published(name, from string) side {
	return side{"published port, " + name, func(ctx context.Context) (*server, error) {
		tag, err := b.load(ctx, "test/bench/functions/ok-go", "scratch", filepath.Join(b.work, "data"))
		if err != nil {
			return nil, err
		}
		at, err := b.run(ctx, from, tag)
		if err != nil {
			return nil, err
		}
		s := &server{url: "http://" + at + "/", inside: b.engine.Inside, hidden: true}
		return s, b.answers(ctx, s.url, "ok")
	}}
}

// load makes the image of a function and gives it to the engine.
func (b *boxed) load(ctx context.Context, source, base, data string) (tag string, err error) {
	archive := filepath.Join(b.work, "image.tar")
	defer os.Remove(archive)
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.bin, "myelin"), "build", source, "--base", base, "-o", "tar:"+archive)
	cmd.Env = append(os.Environ(), "MYELIN_DATA="+data)
	if _, err := told(cmd); err != nil {
		return "", err
	}
	said, err := b.docker(ctx, "load", "--quiet", "--input", archive)
	_, tag, _ = strings.Cut(said, "Loaded image: ")
	return tag, err
}

// run runs an image whose port 8080 is published at an address of the engine's machine.
func (b *boxed) run(ctx context.Context, at, tag string) (address string, err error) {
	id, err := b.docker(ctx, "run", "--detach", "--publish", at+"::8080", tag)
	if err != nil {
		return "", err
	}
	return b.docker(ctx, "port", id, "8080/tcp")
}

// answers waits until a container answers with a text.
func (b *boxed) answers(ctx context.Context, url, want string) error {
	tr := &http.Transport{DialContext: b.engine.Dial, DisableKeepAlives: true}
	return awaitAnswer(ctx, &http.Client{Transport: tr}, url, want)
}

// awaitAnswer asks, each time on a connection of its own, until a text comes back.
func awaitAnswer(ctx context.Context, c *http.Client, url, want string) (err error) {
	c.Timeout = bearable
	for end := time.Now().Add(bearable); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var resp *http.Response
		if resp, err = c.Get(url); err != nil {
			continue
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK && body.String() == want {
			return nil
		}
		err = fmt.Errorf("answer %d %.100q, %w", resp.StatusCode, body.String(), err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s does not answer %q: %w", url, want, err)
}

// codeChanges measures a change of a Python function's code beside another way to come to a
// container that runs it, in turn.
func codeChanges(ctx context.Context, o options, work, than, needs string, other func(b *boxed, ctx context.Context, base, text string) (time.Duration, error)) (res Result, err error) {
	b, end, err := newBoxed(o, work)
	if err != nil {
		return res, err
	}
	defer end()
	b.needs = needs
	base := "oci:" + filepath.Join(work, "python-base")
	if _, err := os.Stat(strings.TrimPrefix(base, "oci:")); err != nil {
		if err := b.base(ctx, base, filepath.Join(work, "data")); err != nil {
			return res, err
		}
	}
	p := &plane{o: o, work: work, args: []string{"--platform", "docker", "--docker-host", b.engine.Addr, "--base", "python=" + base}}
	api, err := p.up(ctx)
	if err != nil {
		return res, err
	}
	defer p.running.stop()
	if _, err := b.changed(ctx, p, api, "first"); err != nil {
		return res, err
	}
	res.Unit, res.Sides = "ms", []Series{{Name: "a change of the code"}, {Name: than}}
	for round := range o.rounds {
		for turn := range 2 {
			i, text := (round+turn)%2, fmt.Sprintf("round %d", round)
			time.Sleep(settle)
			var took time.Duration
			if i == 0 {
				took, err = b.changed(ctx, p, api, text)
			} else {
				took, err = other(b, ctx, base, text)
			}
			if err != nil {
				return res, err
			}
			res.Sides[i].Values = append(res.Sides[i].Values, float64(took.Microseconds())/1000)
		}
		res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

// images measures a change of a Python function's code up to its image beside one that
// is made where nothing was made before.
func images(ctx context.Context, o options, work string) (res Result, err error) {
	b, all := &boxed{o: o, work: work}, filepath.Join(work, "images")
	defer os.RemoveAll(all)
	res.Unit, res.Sides = "ms", []Series{{Name: "a change of the code"}, {Name: "nothing kept"}}
	kept := filepath.Join(all, "kept")
	if err := b.base(ctx, "oci:"+filepath.Join(kept, "base"), kept); err != nil {
		return res, err
	}
	if err := b.image(ctx, kept, "first"); err != nil {
		return res, err
	}
	for round := range o.rounds {
		text, fresh := fmt.Sprint("round", round), filepath.Join(all, fmt.Sprint("fresh", round))
		for i, step := range []func() error{
			func() error { return b.image(ctx, kept, text) },
			func() error {
				if err := b.base(ctx, "oci:"+filepath.Join(fresh, "base"), fresh); err != nil {
					return err
				}
				return b.image(ctx, fresh, text)
			},
		} {
			time.Sleep(settle)
			began := time.Now()
			if err := step(); err != nil {
				return res, err
			}
			res.Sides[i].Values = append(res.Sides[i].Values, float64(time.Since(began).Microseconds())/1000)
		}
		res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

// image makes the image of a function that answers with a text, on the base in a
// directory and with what is kept there.
func (b *boxed) image(ctx context.Context, dir, text string) error {
	source, err := b.speaks(text)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.bin, "myelin"), "build", source, "--base", "oci:"+filepath.Join(dir, "base"), "-o", "oci:"+filepath.Join(dir, text))
	cmd.Env = append(os.Environ(), "MYELIN_DATA="+dir, "MYELIN_CACHE="+filepath.Join(dir, "cache"))
	_, err = told(cmd)
	return err
}

// base makes a base for Python.
func (b *boxed) base(ctx context.Context, place, data string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.bin, "myelin"), "base", "python", "-o", place)
	cmd.Env = append(os.Environ(), "MYELIN_DATA="+data, "MYELIN_CACHE="+filepath.Join(data, "cache"))
	_, err := told(cmd)
	return err
}

// speaks writes a function that answers with a text.
func (b *boxed) speaks(text string) (source string, err error) {
	code := fmt.Sprintf("def handler(context, event):\n    return %q\n", text)
	if b.needs == "" {
		source = filepath.Join(b.work, "speaks.py")
		return source, os.WriteFile(source, []byte(code), 0o644)
	}
	source = filepath.Join(b.work, "needs-"+b.needs, "speaks")
	err = os.MkdirAll(source, 0o755)
	for name, content := range map[string]string{"requirements.txt": b.needs + "\n", "speaks.py": "import " + b.needs + "\n" + code,
		"function.yaml": "metadata: {name: speaks}\nspec: {runtime: python, handler: speaks:handler}\n"} {
		if err == nil {
			err = os.WriteFile(filepath.Join(source, name), []byte(content), 0o644)
		}
	}
	return source, err
}

// changed deploys another answer on a control plane.
func (b *boxed) changed(ctx context.Context, p *plane, api, text string) (time.Duration, error) {
	source, err := b.speaks(text)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.myelin(ctx, api, "run", source); err != nil {
		return 0, err
	}
	err = awaitAnswer(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+p.gateway+"/speaks", text)
	return time.Since(began), err
}

// whole makes base and image where nothing was made before, and runs it on an engine
// that has nothing.
func (b *boxed) whole(ctx context.Context, _, text string) (time.Duration, error) {
	fresh, end, err := newBoxed(b.o, b.work)
	if err != nil {
		return 0, err
	}
	defer end()
	fresh.needs = b.needs
	data, err := os.MkdirTemp(b.work, "nothing-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(data)
	source, err := fresh.speaks(text)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	base := "oci:" + filepath.Join(data, "base")
	if err := fresh.base(ctx, base, data); err != nil {
		return 0, err
	}
	tag, err := fresh.load(ctx, source, base, data)
	if err != nil {
		return 0, err
	}
	err = fresh.serves(ctx, tag, text)
	return time.Since(began), err
}

// serves runs an image until it answers, at a port.
func (b *boxed) serves(ctx context.Context, tag, text string) error {
	at, err := b.run(ctx, "127.0.0.1", tag)
	if err != nil {
		return err
	}
	return b.answers(ctx, "http://"+at+"/", text)
}

// ordinary is a server of HTTP as one writes it without a platform.
const ordinary = `from http.server import BaseHTTPRequestHandler, HTTPServer
class Speaks(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b%q)
HTTPServer(("", 8080), Speaks).serve_forever()
`

// dockerfile has Docker build an image on the same base, which it has, and runs it.
func (b *boxed) dockerfile(ctx context.Context, base, text string) (time.Duration, error) {
	if _, err := b.docker(ctx, "image", "inspect", "python-base:bench"); err != nil {
		if err := b.giveBase(ctx, base); err != nil {
			return 0, err
		}
	}
	dir, err := os.MkdirTemp(b.work, "dockerfile-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for name, content := range map[string]string{"speaks.py": fmt.Sprintf(ordinary, text),
		"Dockerfile": "FROM python-base:bench\nCOPY speaks.py /app/speaks.py\nENTRYPOINT [\"/usr/bin/python3\", \"/app/speaks.py\"]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	id, err := b.docker(ctx, "build", "--quiet", "--no-cache", dir)
	if err != nil {
		return 0, err
	}
	err = b.serves(ctx, id, text)
	return time.Since(began), err
}

// giveBase gives the engine the base, under a name for Dockerfiles.
func (b *boxed) giveBase(ctx context.Context, base string) error {
	archive := filepath.Join(b.work, "base.tar")
	defer os.Remove(archive)
	if _, err := told(exec.CommandContext(ctx, filepath.Join(b.o.bin, "myelin"), "image", "copy", base, "tar:"+archive)); err != nil {
		return err
	}
	said, err := b.docker(ctx, "load", "--quiet", "--input", archive)
	if err != nil {
		return err
	}
	_, what, _ := strings.Cut(said, ": ") // Loaded image: NAME, or Loaded image ID: ID
	_, err = b.docker(ctx, "tag", what, "python-base:bench")
	return err
}
