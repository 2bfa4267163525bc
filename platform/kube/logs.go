package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/myelin-run/myelin/platform"
)

// errorLines is how many lines of a log go with an error.
const errorLines = 20

// longestLine is where a line of a log is cut.
const longestLine = 1 << 20

func (p *Platform) logOf(pod, from string, options map[string]string) *rest.Request {
	r := p.cluster.clients[pods.group].Get().Namespace(p.cluster.namespace).Resource(pods.resource).Name(pod).SubResource("log").Param("container", from)
	for name, value := range options {
		r = r.Param(name, value)
	}
	return r
}

// lastLines are those that a container wrote last, or the one before it.
func (p *Platform) lastLines(ctx context.Context, pod, from string) []string {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for _, previous := range []string{"false", "true"} {
		text, err := p.logOf(pod, from, map[string]string{"tailLines": strconv.Itoa(errorLines), "previous": previous}).DoRaw(ctx)
		if text := strings.TrimSpace(string(text)); err == nil && text != "" {
			return strings.Split(text, "\n")
		}
	}
	return nil
}

// Logs implements [platform.Logs]. A function's log are the lines of its container
// that are JSON as the processor writes it, that of the processor all others. When it
// follows, replicas that are started later are followed too, from their beginning.
func (p *Platform) Logs(ctx context.Context, name string, which platform.LogKind, tail int, follow bool, w io.Writer) error {
	if which != platform.FunctionLog && which != platform.ProcessorLog {
		return fmt.Errorf("read log: %q is neither %s nor %s", which, platform.FunctionLog, platform.ProcessorLog)
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	l := &logReader{p: p, which: which, w: w, tails: map[string]bool{}}
	id := p.idOf(name)
	var kept [][]byte
	for _, pod := range p.seen.of(id).pods {
		l.tails[tailKey(pod.Name, containerOf(pod).RestartCount)] = true
		if tail == 0 {
			continue
		}
		lines, err := l.past(ctx, pod.Name)
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		kept = append(kept, lines...)
	}
	if tail >= 0 {
		kept = kept[max(0, len(kept)-tail):]
	}
	for _, line := range kept {
		if err := l.write(line); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	return l.follow(ctx, id)
}

func tailKey(pod string, restarts int32) string { return fmt.Sprint(pod, " ", restarts) }

// logReader writes the lines of one log of several replicas.
type logReader struct {
	p     *Platform
	which platform.LogKind
	tails map[string]bool // lives of replicas that are read, or were

	mu sync.Mutex
	w  io.Writer
}

func (l *logReader) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(append(line, '\n'))
	return err
}

// wanted tells the two logs apart.
func (l *logReader) wanted(line []byte) bool {
	return bytes.HasPrefix(line, []byte(`{"time":`)) == (l.which == platform.FunctionLog)
}

// past are the lines that a replica wrote until now.
func (l *logReader) past(ctx context.Context, pod string) (lines [][]byte, err error) {
	text, err := l.p.logOf(pod, container, nil).DoRaw(ctx)
	if notThere(err) {
		return nil, nil
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSuffix(line, []byte("\n")); l.wanted(line) {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// notThere says that a container has not started, or that its pod is gone.
func notThere(err error) bool { return apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) }

// follow writes what replicas write from now on, those that come later included.
func (l *logReader) follow(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	begun := map[string]bool{}
	for {
		next := l.p.seen.next(id)
		for _, pod := range l.p.seen.of(id).pods {
			life := tailKey(pod.Name, containerOf(pod).RestartCount)
			if begun[life] || containerOf(pod).State.Running == nil {
				continue
			}
			begun[life] = true
			options := map[string]string{"follow": "true"}
			if l.tails[life] {
				options["tailLines"] = "0"
			}
			all.Go(func() {
				if err := l.stream(ctx, pod.Name, options); err != nil {
					cancel(err)
				}
			})
		}
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("read log: %w", err)
			}
			return nil
		case <-next:
		}
	}
}

// stream writes the log of one life of a replica, to its end. An error is that of the
// writer: what becomes of a replica is seen elsewhere.
func (l *logReader) stream(ctx context.Context, pod string, options map[string]string) error {
	in, err := l.p.logOf(pod, container, options).Stream(ctx)
	if err != nil {
		return nil //nolint:nilerr // it went
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if l.wanted(lines.Bytes()) {
			if err := l.write(lines.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}
