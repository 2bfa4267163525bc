package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/platform/local"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/platform/local/supervise"
)

// launcher starts the containers of one deployment. It implements
// [supervise.Launcher].
type launcher struct {
	e    *engine
	name string
	home local.Home
}

// Launcher implements [local.Engine].
func (e *engine) Launcher(name string, home local.Home) supervise.Launcher {
	l := launcher{e, name, home}
	if e.at.Remote() {
		return distant{l, supervise.Processes(home.Dir)}
	}
	return l
}

// A container whose name ends so was told to drain; labels cannot be changed.
const draining = "-draining"

func (l launcher) containerName(replica string) string {
	return "myelin-" + l.e.id + "-" + l.name + "-" + replica
}

// Start implements [supervise.Launcher].
func (l launcher) Start(r supervise.Record, s process.Spec) (supervise.Process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	var spec spec
	if err := json.Unmarshal(r.Version.Extra, &spec); err != nil {
		return nil, fmt.Errorf("start container: read what is to run: %w", err)
	}
	if err := l.e.remove(ctx, l.containerName(r.Name)); err != nil {
		return nil, err
	}
	mended, err := l.e.mend(ctx, spec)
	if err != nil {
		return nil, err
	}
	id, err := l.create(ctx, r, s, spec)
	if err != nil {
		return nil, err
	}
	p := l.e.replica(id, s.Output.Name(), 0, spec.Memory)
	p.mended = mended
	if len(s.FDs) > 0 {
		p.offer, err = l.offer(filepath.Join(r.Scratch, socketsFile), r.Version.Socket, s.FDs[0])
	}
	if err == nil {
		_, err = l.e.client.ContainerStart(ctx, id, client.ContainerStartOptions{})
		err = l.e.problem("start container", err)
	}
	if err == nil {
		err = l.see(ctx, p)
	}
	if err != nil {
		p.finish()
		return nil, errors.Join(err, l.e.remove(ctx, id))
	}
	return p, nil
}

// mend makes the network and the image of a container if the engine has them no
// longer, and says what it made.
func (e *engine) mend(ctx context.Context, s spec) (mended []string, err error) {
	network, nerr := e.haveNetwork(ctx, s.Network)
	image, ierr := e.haveImage(ctx, s.Image)
	if network {
		mended = append(mended, "its network was gone from the engine and was made again")
	}
	if image {
		mended = append(mended, "its image was gone from the engine and was made again")
	}
	return mended, errors.Join(nerr, ierr)
}

// see learns which process of the engine's machine a container is, if it still runs.
func (l launcher) see(ctx context.Context, p *replica) error {
	c, err := l.e.client.ContainerInspect(ctx, p.id, client.ContainerInspectOptions{})
	if err != nil {
		return l.e.problem("look at container", err)
	}
	p.ident.PID = c.Container.State.Pid
	return nil
}

func (l launcher) create(ctx context.Context, r supervise.Record, s process.Spec, spec spec) (string, error) {
	record, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	labels := map[string]string{labelPlatform: l.e.id, labelDeployment: l.name, labelReplica: r.Name, labelRecord: string(record)}
	made, err := l.e.client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: l.containerName(r.Name), Config: spec.config(r.Name, s, labels, len(s.FDs) > 0), HostConfig: spec.host(l.mounts(r, spec)),
	})
	if cerrdefs.IsNotFound(err) {
		err = errors.Join(err, errNoImage)
	}
	if _, serr := os.Stat(spec.Artefact); err != nil && spec.Artefact != "" && serr != nil {
		err = fmt.Errorf("%w: the function's artefact is gone, deploy its sources again", serr)
	}
	return made.ID, l.e.problem("create container", err)
}

// Keep implements [supervise.Launcher]. What changes of a replica that runs is that
// it drains.
func (l launcher) Keep(r supervise.Record) error {
	if !r.Draining {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	name := l.containerName(r.Name)
	_, err := l.e.client.ContainerRename(ctx, name, client.ContainerRenameOptions{NewName: name + draining})
	return l.e.problem("note that a container drains", err)
}

// Kept implements [supervise.Launcher].
func (l launcher) Kept(ctx context.Context) ([]supervise.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	all, err := l.e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: l.e.ours(l.name)})
	if err != nil {
		return nil, l.e.problem("list containers", err)
	}
	var records []supervise.Record
	var errs []error
	for _, c := range all.Items {
		r, err := l.recordOf(c)
		if err != nil { // it cannot be supervised, and may hold the function's address
			errs = append(errs, fmt.Errorf("container %.12s: %w", c.ID, err), l.e.remove(ctx, c.ID))
			continue
		}
		records = append(records, r)
	}
	return records, errors.Join(errs...)
}

func (l launcher) recordOf(c container.Summary) (r supervise.Record, err error) {
	if err := json.Unmarshal([]byte(c.Labels[labelRecord]), &r); err != nil || r.Name != c.Labels[labelReplica] || r.Name == "" || filepath.Base(r.Name) != r.Name {
		return r, errors.New("its labels are not a replica's")
	}
	r.Boot = c.ID
	for _, n := range c.Names {
		r.Draining = r.Draining || strings.HasSuffix(n, draining)
	}
	return r, nil
}

// Adopt implements [supervise.Launcher].
func (l launcher) Adopt(r supervise.Record) (supervise.Process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	c, err := l.e.client.ContainerInspect(ctx, r.Boot, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil, process.ErrGone
	}
	if err != nil {
		return nil, l.e.problem("adopt container", err)
	}
	if !c.Container.State.Running {
		return nil, process.ErrGone
	}
	var spec spec
	if err := json.Unmarshal(r.Version.Extra, &spec); err != nil {
		return nil, fmt.Errorf("adopt container: %w", err)
	}
	return l.e.replica(r.Boot, filepath.Join(l.home.Dir, "output.log"), c.Container.State.Pid, spec.Memory), nil
}

// Forget implements [supervise.Launcher]. What an engine that is away keeps goes when
// it is back, or is found by the next adoption.
func (l launcher) Forget(name string) {
	for _, n := range []string{l.containerName(name), l.containerName(name) + draining} {
		l.e.discard(n)
	}
}

// discard removes a container, now or when the engine is back.
func (e *engine) discard(name string) {
	err := e.remove(context.Background(), name)
	if err == nil {
		return
	}
	e.log.Warn("remove container", "container", name, "error", err)
	e.doom(name)
}

// doom has a container removed when the engine is back.
func (e *engine) doom(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doomed = append(e.doomed, name)
}

// mounts are what a replica sees of this machine: its own directories.
func (l launcher) mounts(r supervise.Record, spec spec) []string {
	binds := []string{filepath.Join(l.home.Dir, r.Name) + ":" + runDir, r.Scratch + ":" + scratchDir, l.home.Logs + ":" + logsDir, l.home.Letters + ":" + lettersDir}
	if l.e.door != "" {
		binds = append(binds, l.e.door+":"+gatewayDir+":ro")
	}
	if spec.Dealt {
		binds = append(binds, l.e.beats+":"+dealerDir+":ro")
	}
	if _, err := os.Stat(l.home.Bindings); err == nil {
		binds = append(binds, l.home.Bindings+":"+bindingsDir)
	}
	return binds
}
