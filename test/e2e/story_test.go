package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/test/story"
)

// TestWholeStory: what a function goes through from its source to a kill of everything is the
// same wherever it runs.
func TestWholeStory(t *testing.T) {
	t.Run("local", func(t *testing.T) { story.Run(t, &processes{outer: t}) })
	t.Run("docker", func(t *testing.T) {
		story.Run(t, &containers{engine: servers.Docker(t), processes: processes{outer: t}})
	})
}

// processes is the local platform.
type processes struct {
	outer *testing.T // lives as long as what is started
	plane *plane
	args  []string
}

func (p *processes) Up(t *testing.T) story.Doors {
	t.Helper()
	if p.plane == nil {
		p.plane = newPlane(p.outer, p.args...)
	} else {
		p.plane.up()
	}
	return story.Doors{API: p.plane.api, Gateway: p.plane.gateway}
}

func (p *processes) Kill(t *testing.T, what story.Part) {
	t.Helper()
	switch what {
	case story.Functions:
		p.killIn(t, "run")
	case story.Control:
		p.plane.kill()
	case story.Everything:
		p.plane.kill()
		p.killIn(t, "")
	}
}

func (p *processes) Reach(_ *testing.T, address string) string { return address }

// killIn kills all processes that work in a directory of the control plane's data.
func (p *processes) killIn(t *testing.T, dir string) {
	t.Helper()
	works, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, link := range works {
		at, err := os.Readlink(link)
		pid, perr := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil || perr != nil || !strings.HasPrefix(at+"/", filepath.Join(p.plane.data, dir)+"/") {
			continue
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			n++
		}
	}
	if n == 0 {
		t.Fatalf("there was nothing to kill in %s", filepath.Join(p.plane.data, dir))
	}
}

// containers is the platform of Docker.
type containers struct {
	processes
	engine *servers.Server
	down   bool
}

func (c *containers) Up(t *testing.T) story.Doors {
	t.Helper()
	if c.down {
		if err := c.engine.Start(); err != nil {
			t.Fatal(err)
		}
		c.down = false
	}
	c.args = []string{"--platform", "docker", "--docker-host", c.engine.Addr}
	return c.processes.Up(t)
}

func (c *containers) Kill(t *testing.T, what story.Part) {
	t.Helper()
	switch what {
	case story.Functions:
		c.killAll(t)
	case story.Control:
		c.plane.kill()
	case story.Everything:
		c.plane.kill()
		c.killIn(t, "gateway")
		c.killAll(t)
		if err := c.engine.Kill(); err != nil {
			t.Fatal(err)
		}
		c.down = true
	}
}

// killAll kills all containers; one may have ended by itself.
func (c *containers) killAll(t *testing.T) {
	t.Helper()
	ids := strings.Fields(docker(t, c.engine, "ps", "--quiet"))
	if len(ids) == 0 {
		t.Fatal("there was no container to kill")
	}
	out, err := exec.Command("/usr/bin/docker", append([]string{"--host", c.engine.Addr, "kill"}, ids...)...).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "is not running") && !strings.Contains(string(out), "No such container") {
		t.Fatalf("%v: %s", err, out)
	}
}

// Reach has the engine's network listen at every address of its own, of which
// containers know one by name.
func (c *containers) Reach(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	c.engine.Reach(c.outer, "0.0.0.0:"+port)
	return fmt.Sprintf("host.docker.internal:%s", port)
}
