package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/docker/relay"
	"github.com/myelin-run/myelin/platform/local"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/platform/local/supervise"
	"github.com/myelin-run/myelin/processor/handoff"
)

// An engine on another machine sees nothing of this one. What a container needs is
// copied into a volume of its own before it starts, its ports are published, and
// each has a stand-in here: see package relay.

// Where things are in a container of another machine: all in one volume.
const (
	boxDir       = "/myelin/box"
	functionPort = 8080
	adminPort    = 8082
)

var (
	publishedFunction = network.MustParsePort(fmt.Sprintf("%d/tcp", functionPort))
	publishedAdmin    = network.MustParsePort(fmt.Sprintf("%d/tcp", adminPort))
)

// containerFile names, in a replica's directory, the container that it stands for.
const containerFile = "container"

func (e *engine) distantPaths() local.Paths {
	in := func(name string) string { return path.Join(boxDir, name) }
	return local.Paths{
		Function: functionDir, Scratch: in("scratch"), Letters: in("letters"), Bindings: in("bindings"), Output: true,
		Admin: fmt.Sprintf(":%d", adminPort), Gateway: e.gateway,
	}
}

// unable says what a function asks for that containers of another machine cannot have.
func (e *engine) unable(cfg function.Config) error {
	const instead = "run the function on an engine of the control plane's machine, or as a process"
	for name, t := range cfg.Spec.Triggers {
		switch {
		case t.Disabled:
		case t.Dealt():
			return fmt.Errorf("trigger %s: the dealer of shards is not reached from the engine's machine: %s", name, instead)
		case t.Deduplicate != nil:
			return fmt.Errorf("trigger %s: deduplicate keeps what it has seen on the control plane's machine, which the container does not see: %s", name, instead)
		}
	}
	for name, b := range cfg.Spec.DataBindings {
		if keepsFiles[b.Kind] {
			return fmt.Errorf("data binding %s: %s keeps files on the control plane's machine, which the container does not see: %s", name, b.Kind, instead)
		}
	}
	if e.network == "host" || e.network == "none" {
		return fmt.Errorf("--docker-network %s: on another machine ports of containers are published, which this network does not do", e.network)
	}
	return nil
}

// distant starts the containers of one deployment on another machine, and a stand-in
// for each on this one, which is what is supervised. It implements
// [supervise.Launcher].
type distant struct {
	launcher
	here supervise.Launcher
}

// standIn is the process that stands in for a container. It implements
// [supervise.Process].
type standIn struct {
	supervise.Process
	e              *engine
	container, dir string
	mended         []string
}

// Start implements [supervise.Launcher].
func (l distant) Start(r supervise.Record, s process.Spec) (supervise.Process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	var spec spec
	if err := json.Unmarshal(r.Version.Extra, &spec); err != nil {
		return nil, fmt.Errorf("start container: read what is to run: %w", err)
	}
	l.e.expect(l.name, r.Name, true)
	if err := l.clear(ctx, l.containerName(r.Name)); err != nil {
		return nil, err
	}
	mended, err := l.e.mend(ctx, spec)
	if err != nil {
		return nil, err
	}
	id, err := l.createThere(ctx, r, s, spec)
	if err != nil {
		return nil, err
	}
	p, err := l.startThere(ctx, id, r, s)
	if err != nil {
		return nil, errors.Join(err, l.e.remove(ctx, id))
	}
	p.mended = mended
	return p, nil
}

func (l distant) startThere(ctx context.Context, id string, r supervise.Record, s process.Spec) (*standIn, error) {
	if err := l.furnish(ctx, id, r); err != nil {
		return nil, err
	}
	_, err := l.e.client.ContainerStart(ctx, id, client.ContainerStartOptions{})
	if err != nil && strings.Contains(err.Error(), "cannot assign requested address") {
		err = fmt.Errorf("%w: %s is no address of the engine's machine: say which is with --docker-publish", err, l.e.publish)
	}
	if err = l.e.problem("start container", err); err != nil {
		return nil, err
	}
	settings, err := l.settings(ctx, id, r)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(s.Dir, relay.EndFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.Dir, containerFile), []byte(id), 0o600); err != nil {
		return nil, err
	}
	s.Path, s.Args, s.Credential = l.e.relay[0], slices.Concat(l.e.relay[1:], []string{"--settings", settings}), nil
	p, err := l.here.Start(r, s)
	if err != nil {
		return nil, err
	}
	return &standIn{Process: p, e: l.e, container: id, dir: s.Dir}, nil
}

// createThere makes a container with nothing of this machine, whose engine chooses where its
// ports are published.
func (l distant) createThere(ctx context.Context, r supervise.Record, s process.Spec, spec spec) (string, error) {
	labels := map[string]string{labelPlatform: l.e.id, labelDeployment: l.name, labelReplica: r.Name}
	c, h := spec.config(r.Name, s, labels, false), spec.host(nil)
	c.WorkingDir = path.Join(boxDir, "run")
	c.Env = append(c.Env, "HOME="+c.WorkingDir)
	h.Mounts = []mount.Mount{{Type: mount.TypeVolume, Target: boxDir, VolumeOptions: &mount.VolumeOptions{NoCopy: true}}}
	c.ExposedPorts = network.PortSet{publishedAdmin: {}}
	h.PortBindings = network.PortMap{publishedAdmin: {{HostIP: l.e.publish}}}
	if r.Version.Socket != "" {
		c.Env = append(c.Env, fmt.Sprintf("%s=%s=0.0.0.0:%d", handoff.ListenVariable, r.Version.Socket, functionPort))
		c.ExposedPorts[publishedFunction] = struct{}{}
		h.PortBindings[publishedFunction] = []network.PortBinding{{HostIP: l.e.publish}}
	}
	made, err := l.e.client.ContainerCreate(ctx, client.ContainerCreateOptions{Name: l.containerName(r.Name), Config: c, HostConfig: h})
	if cerrdefs.IsNotFound(err) {
		err = errors.Join(err, errNoImage)
	}
	return made.ID, l.e.problem("create container", err)
}

// furnish copies into a container's volume what its processor reads, and makes the
// directories that are the function's.
func (l distant) furnish(ctx context.Context, id string, r supervise.Record) error {
	config, err := os.ReadFile(filepath.Join(l.home.Dir, r.Name, "processor.yaml"))
	if err != nil {
		return err
	}
	var all bytes.Buffer
	t := tar.NewWriter(&all)
	add := func(h tar.Header, content []byte) {
		h.Uid, h.Gid, h.Size, h.ModTime = l.home.UID, l.home.GID, int64(len(content)), time.Now()
		if err == nil {
			err = t.WriteHeader(&h)
		}
		if err == nil {
			_, err = t.Write(content)
		}
	}
	for _, dir := range []string{"run/", "scratch/", "letters/", "bindings/"} {
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o700}, nil)
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "run/processor.yaml", Mode: 0o600}, config)
	if err = errors.Join(err, t.Close()); err != nil {
		return fmt.Errorf("copy into container: %w", err)
	}
	_, err = l.e.client.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: boxDir, Content: &all})
	return l.e.problem("copy into container", err)
}

// settings are those of the stand-in of a container that was started.
func (l distant) settings(ctx context.Context, id string, r supervise.Record) (string, error) {
	c, err := l.e.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", l.e.problem("look at container", err)
	}
	paths := l.e.distantPaths()
	s := relay.Settings{
		Host: l.e.at, Container: id, Began: c.Container.State.StartedAt, TokenFile: local.TokenFile, AdminSocket: filepath.Join(r.Scratch, local.AdminSocket),
		Function: filepath.Join(l.home.Logs, string(platform.FunctionLog)+".log"), Processor: filepath.Join(l.home.Logs, string(platform.ProcessorLog)+".log"),
		Letters: l.home.Letters, LettersThere: paths.Letters,
	}
	if s.Admin, err = l.where(c.Container, publishedAdmin); err != nil {
		return "", err
	}
	if r.Version.Socket != "" {
		if s.Target, err = l.where(c.Container, publishedFunction); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(s)
	return string(text), err
}

// where is a published port as this machine reaches it, "" of a container that has ended.
func (l distant) where(c container.InspectResponse, port network.Port) (string, error) {
	bound := c.NetworkSettings.Ports[port]
	switch {
	case len(bound) > 0:
	case !c.State.Running: // it ended at once, and its stand-in tells why
		return "", nil
	default:
		return "", fmt.Errorf("start container: the engine did not publish port %s: the network %s cannot", port, c.HostConfig.NetworkMode)
	}
	host := l.e.publish
	if host.IsUnspecified() {
		ip, err := l.e.at.IP()
		if err != nil {
			return "", err
		}
		host = ip
	}
	return net.JoinHostPort(host.String(), bound[0].HostPort), nil
}

// clear removes what is left of a former container, when its letters are here.
func (l distant) clear(ctx context.Context, name string) error {
	_, err := relay.Letters(ctx, l.e.client, name, l.e.distantPaths().Letters, l.home.Letters)
	if err != nil && !cerrdefs.IsNotFound(err) {
		return l.e.problem("fetch dead letters", err)
	}
	return l.e.remove(ctx, name)
}

// Keep implements [supervise.Launcher].
func (l distant) Keep(r supervise.Record) error { return l.here.Keep(r) }

// Kept implements [supervise.Launcher]. Containers without a record go.
func (l distant) Kept(ctx context.Context) ([]supervise.Record, error) {
	records, err := l.here.Kept(ctx)
	for _, r := range records {
		l.e.expect(l.name, r.Name, true)
	}
	if err == nil {
		l.e.sweep(ctx, l.name)
	}
	return records, err
}

// Adopt implements [supervise.Launcher]. The engine need not be there.
func (l distant) Adopt(r supervise.Record) (supervise.Process, error) {
	p, err := l.here.Adopt(r)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.home.Dir, r.Name)
	id, err := os.ReadFile(filepath.Join(dir, containerFile))
	if err != nil {
		p.Kill()
		p.Release()
		return nil, fmt.Errorf("%w: %w", process.ErrGone, err)
	}
	return &standIn{Process: p, e: l.e, container: string(id), dir: dir}, nil
}

// Forget implements [supervise.Launcher].
func (l distant) Forget(name string) {
	l.here.Forget(name)
	l.e.expect(l.name, name, false)
	l.e.leave(l.containerName(name), func(ctx context.Context) error { return l.clear(ctx, l.containerName(name)) })
}

// Wait implements [supervise.Process]: how the container ended, if it has.
func (p *standIn) Wait() (process.Exit, error) {
	exit, err := p.Process.Wait()
	if err != nil {
		return exit, err
	}
	text, err := os.ReadFile(filepath.Join(p.dir, relay.EndFile))
	if err == nil {
		err = json.Unmarshal(text, &exit)
	}
	if err != nil && exit.Why == "" {
		exit.Why = "its stand-in ended: " + exit.String()
	}
	return exit, nil
}

// Mended says what the engine had no longer when the container was started.
func (p *standIn) Mended() string { return strings.Join(p.mended, "; ") }

// Kill implements [supervise.Process].
func (p *standIn) Kill() {
	p.Process.Kill()
	p.e.leave(p.container, func(ctx context.Context) error { return p.e.remove(ctx, p.container) })
}

// leaveLimit is how long the removal of a container may take that nobody waits for.
const leaveLimit = 10 * time.Second

// leave removes a container now, or when the engine is back: it is not waited for.
func (e *engine) leave(container string, remove func(context.Context) error) {
	err := errors.New("the engine is away")
	if e.Trouble() == "" {
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		err = remove(ctx)
	}
	if err != nil {
		e.doom(container)
	}
}

// expect notes whether there is to be a container of a replica.
func (e *engine) expect(deployment, replica string, is bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expected == nil {
		e.expected = map[string]bool{}
	}
	if is {
		e.expected[deployment+"/"+replica] = true
	} else {
		delete(e.expected, deployment+"/"+replica)
	}
}

// sweep removes the containers of a deployment, or of all, that nobody stands in for:
// what was left when this machine went down. It is done when the engine is there.
func (e *engine) sweep(ctx context.Context, name string) {
	if name != "" && e.Trouble() != "" {
		e.sweepLater()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	all, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: e.ours(name)})
	e.mu.Lock()
	e.unswept = err != nil
	var left []string
	for _, c := range all.Items {
		if !e.expected[c.Labels[labelDeployment]+"/"+c.Labels[labelReplica]] {
			left = append(left, c.ID)
		}
	}
	e.mu.Unlock()
	if err := e.problem("list containers", err); err != nil {
		return
	}
	for _, id := range left {
		e.discard(id)
	}
}

func (e *engine) sweepLater() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unswept = true
}

// defaultPatience is how long an engine of another machine may take to answer, unless said
// otherwise.
const defaultPatience = 5 * time.Second

// heart notices that the engine goes and comes, as nobody else may ask it for long: each
// patience, and more often in trouble.
func (e *engine) heart(life context.Context) {
	for life.Err() == nil {
		ctx, cancel := context.WithTimeout(life, e.patience)
		_, err := e.client.Ping(ctx, client.PingOptions{})
		cancel()
		if life.Err() != nil {
			return
		}
		_ = e.problem("reach the Docker engine", err)
		every := e.patience
		if e.Trouble() != "" {
			every /= 5
		}
		select {
		case <-life.Done():
		case <-time.After(every):
		}
	}
}

// publishAt is the address of the engine's machine at which ports are published.
func publishAt(at relay.Host, asked string) (netip.Addr, error) {
	if asked == "" && !at.Forwarded {
		return at.IP()
	}
	ip, err := netip.ParseAddr(asked)
	switch {
	case at.Forwarded && (err != nil || ip.IsUnspecified()):
		return ip, fmt.Errorf("--docker-publish %q: want an IP address of the engine's machine, at which it is reached from here: a socket that is forwarded does not say", asked)
	case err != nil:
		return ip, fmt.Errorf("--docker-publish %q: want an IP address of the engine's machine, or 0.0.0.0 for all", asked)
	}
	return ip, nil
}

// keepsFiles are the kinds of data bindings whose data are files.
var keepsFiles = map[string]bool{"embedded": true, "directory": true, "sqlite": true}
