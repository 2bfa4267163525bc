package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// side is one of two things that are compared: how to start its server.
type side struct {
	name  string
	start func(context.Context) (*server, error)
}

// server is a running process.
type server struct {
	url    string
	h2     *h2requests              // by h2load rather than wrk; nil: not
	inside func(func() error) error // starts clients where it is reached; nil: here
	cmd    *exec.Cmd                // nil: none that is stopped with it
	hidden bool                     // what serves is none of cmd's children
	ready  time.Duration            // from start to the first answer
}

// bareSide is the limit: fasthttp itself.
func bareSide(o options) side {
	return side{"bare fasthttp", func(ctx context.Context) (*server, error) {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		return launch(ctx, ".", addr, filepath.Join(o.bin, "bare"), "-listen", addr)
	}}
}

// goSide is the binary that `myelin build` makes of a Go function.
func goSide(o options, work string) side { return binarySide(o, work, "Go", "ok-go") }

// cSide is the binary that it makes of a C function.
func cSide(o options, work string) side { return binarySide(o, work, "C", "ok-c") }

func binarySide(o options, work, title, name string) side {
	return side{"Myelin, " + title, func(ctx context.Context) (*server, error) {
		dir := filepath.Join(work, name)
		if err := buildFunction(ctx, o, "test/bench/functions/"+name, dir); err != nil {
			return nil, err
		}
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		return launch(ctx, dir, addr, filepath.Join(dir, name), "-listen", addr, "-admin", "none", "-log-level", "error")
	}}
}

// pythonSide is the generic processor with a Python function, one worker.
func pythonSide(o options, work string) side { return functionSide(o, work, "Python", "python", "ok") }

// nodeSide is the same with a JavaScript function.
func nodeSide(o options, work string) side { return functionSide(o, work, "Node.js", "nodejs", "ok") }

// javaSide is the same with a Java function, whose handler is a class.
func javaSide(o options, work string) side {
	return handlerSide(o, work, "Java", "java", "ok", "Ok")
}

// functionSide is the generic processor with one of the functions here.
func functionSide(o options, work, title, runtime, function string) side {
	return handlerSide(o, work, title, runtime, function, function+":handler")
}

func handlerSide(o options, work, title, runtime, function, handler string) side {
	return side{"Myelin, " + title, func(ctx context.Context) (*server, error) {
		name := function + "-" + runtime
		dir := filepath.Join(work, name)
		if err := buildFunction(ctx, o, "test/bench/functions/"+name, dir); err != nil {
			return nil, err
		}
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		conf := fmt.Sprintf("function: {metadata: {name: %s}, spec: {runtime: %s, handler: \"%s\"}}\n", name, runtime, handler)
		if err := os.WriteFile(filepath.Join(dir, "processor.yaml"), []byte(conf), 0o644); err != nil {
			return nil, err
		}
		return launch(ctx, dir, addr, filepath.Join(o.bin, "processor"), "-listen", addr, "-admin", "none", "-log-level", "error")
	}}
}

// buildFunction builds an artefact into dir, once.
func buildFunction(ctx context.Context, o options, source, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "artefact.json")); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, filepath.Join(o.bin, "myelin"), "build", source, "--output", dir)
	cmd.Env = append(os.Environ(), "MYELIN_DATA="+filepath.Join(filepath.Dir(dir), "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", source, err, out)
	}
	return nil
}

// launch starts a server and waits for its first answer.
func launch(ctx context.Context, dir, addr, program string, args ...string) (*server, error) {
	return launchAt(ctx, dir, "http://"+addr+"/", program, args...)
}

// launchAt is launch for a server whose first answer is at url.
func launchAt(ctx context.Context, dir, url, program string, args ...string) (*server, error) {
	s := &server{url: url, cmd: exec.CommandContext(ctx, program, args...)}
	s.cmd.Dir = dir
	s.cmd.Stderr = os.Stderr
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 20*time.Second {
		resp, err := http.Post(s.url, "text/plain", strings.NewReader("x"))
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.ready = time.Since(began)
				return s, nil
			}
		}
		time.Sleep(500 * time.Microsecond)
	}
	s.stop()
	return nil, errors.New("no answer within 20 s")
}

func (s *server) stop() {
	if s.cmd == nil {
		return // it goes with its engine
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// cpu is the processor time of the server and its live children; of a container it is
// not known.
func (s *server) cpu() (total time.Duration) {
	if s.hidden {
		return 0
	}
	for _, pid := range family(s.cmd.Process.Pid) {
		total += cpuTime(pid)
	}
	return total
}

// memory is the resident memory of the server and its children, in bytes.
// Pages that they share count once in each.
func (s *server) memory() (total float64) {
	for _, pid := range family(s.cmd.Process.Pid) {
		f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if rest, ok := strings.CutPrefix(sc.Text(), "VmRSS:"); ok {
				kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				total += kib * 1024
			}
		}
		_ = f.Close()
	}
	return total
}

// family is a process and its descendants.
func family(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, t := range tasks {
			b, _ := os.ReadFile(t)
			for _, f := range strings.Fields(string(b)) {
				if child, err := strconv.Atoi(f); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

// tick is the unit of times in /proc: 1/100 s on every Linux that Go runs on.
const tick = 10 * time.Millisecond

func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	sys, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+sys) * tick
}
