package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/processor/handoff"
)

// Where things are in a container. The function is where its image has it.
const (
	functionDir = "/myelin/function"
	runDir      = "/myelin/run"
	scratchDir  = "/myelin/scratch"
	logsDir     = "/myelin/logs"
	lettersDir  = "/myelin/letters"
	bindingsDir = "/myelin/bindings"
	gatewayDir  = "/myelin/gateway"
	dealerDir   = "/myelin/dealer"
)

// Paths implements [local.Engine].
func (e *engine) Paths() local.Paths {
	if e.at.Remote() {
		return e.distantPaths()
	}
	p := local.Paths{Function: functionDir, Scratch: scratchDir, Logs: logsDir, Letters: lettersDir, Bindings: bindingsDir, Gateway: "unix:" + path.Join(gatewayDir, DoorFile)}
	if e.beats != "" {
		p.Dealer = "unix:" + path.Join(dealerDir, BeatsFile)
	}
	return p
}

// spec is how a container of a version is run. It is kept in its labels.
type spec struct {
	Image    string   `json:"image"`
	Program  string   `json:"program"`
	User     string   `json:"user"`
	Network  string   `json:"network"`
	Memory   int64    `json:"memory,omitempty"`   // bytes
	NanoCPUs int64    `json:"nanoCpus,omitempty"` // billionths of a core
	GPUs     int      `json:"gpus,omitempty"`     // -1: all
	Volumes  []string `json:"volumes,omitempty"`  // source:target[:ro]
	Dealt    bool     `json:"dealt,omitempty"`    // it takes shards from the dealer
	Artefact string   `json:"artefact,omitempty"` // its directory, if the image is without it
}

// most that a container may have of what nobody limits.
const (
	mostProcesses = 4096
	tmpfsOptions  = "rw,nosuid,nodev,exec,mode=1777,size=268435456"
)

// gpus is the resource by which functions ask for graphics processors.
const gpus = "nvidia.com/gpu"

// Prepare implements [local.Engine].
func (e *engine) Prepare(ctx context.Context, d platform.Deployment, cfg function.Config, home local.Home) (json.RawMessage, error) {
	if e.at.Remote() {
		if err := e.unable(cfg); err != nil {
			return nil, err
		}
	}
	dealt := false
	for name, t := range cfg.Spec.Triggers {
		if t.Dealt() && !t.Disabled {
			dealt = true
			if e.beats == "" {
				return nil, fmt.Errorf("trigger %s: there is no dealer of shards", name)
			}
		}
	}
	volumes, err := volumesOf(cfg.Spec.Volumes)
	if err != nil {
		return nil, err
	}
	m, err := e.imageOf(ctx, d)
	if err != nil {
		return nil, err
	}
	limits := cfg.Spec.Resources.Limits
	s := spec{
		Image: m.tag, Program: m.program, User: fmt.Sprintf("%d:%d", home.UID, home.GID), Network: e.networkOf(d), Volumes: volumes, Dealt: dealt,
		Memory: limits["memory"].Bytes(), NanoCPUs: limits["cpu"].Milli() * 1e6, GPUs: int(limits[gpus].Milli() / 1000),
	}
	if m.apart {
		s.Artefact = d.Artefact.Dir
	}
	return json.Marshal(s)
}

// volume is one of spec.volumes, as Kubernetes writes it.
type volume struct {
	Volume struct {
		Name     string `json:"name"`
		HostPath *struct {
			Path string `json:"path"`
		} `json:"hostPath"`
	} `json:"volume"`
	VolumeMount struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		ReadOnly  bool   `json:"readOnly"`
	} `json:"volumeMount"`
}

// volumesOf are directories of this machine, and the engine's own volumes by name.
func volumesOf(text json.RawMessage) (binds []string, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	var all []volume
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("spec.volumes: %w", err)
	}
	for i, v := range all {
		from, to := v.Volume.Name, v.VolumeMount.MountPath
		if v.Volume.HostPath != nil {
			from = v.Volume.HostPath.Path
		}
		switch {
		case from == "" || strings.Contains(from+to, ":") || v.Volume.HostPath != nil && !path.IsAbs(from):
			return nil, fmt.Errorf("spec.volumes[%d]: want volume.hostPath.path, an absolute path, or volume.name, a volume of the engine", i)
		case !path.IsAbs(to) || path.Clean(to) == "/" || strings.HasPrefix(path.Clean(to)+"/", "/myelin/"):
			return nil, fmt.Errorf("spec.volumes[%d].volumeMount.mountPath: %q is no place for a volume", i, to)
		}
		bind := from + ":" + to
		if v.VolumeMount.ReadOnly {
			bind += ":ro"
		}
		binds = append(binds, bind)
	}
	return binds, nil
}

// networkOf is the network of a deployment: its project's, unless all have one.
func (e *engine) networkOf(d platform.Deployment) string {
	if e.network != "" {
		return e.network
	}
	project, _, found := strings.Cut(d.Name, ".")
	if !found {
		project = "default"
	}
	return "myelin-" + e.id + "-" + project
}

// haveNetwork makes a project's network if there is none, and says whether it did.
func (e *engine) haveNetwork(ctx context.Context, name string) (made bool, err error) {
	if !strings.HasPrefix(name, "myelin-"+e.id+"-") {
		return false, nil // somebody else's
	}
	_, err = e.client.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		e.loading.Lock() // an engine makes two of one name if it is asked twice at once
		defer e.loading.Unlock()
		if _, err = e.client.NetworkInspect(ctx, name, client.NetworkInspectOptions{}); cerrdefs.IsNotFound(err) {
			_, err = e.client.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: map[string]string{labelPlatform: e.id}})
			made = err == nil
		}
	}
	return made, e.problem("make network "+name, err)
}

// Stopped implements [local.Engine]. An engine has room for some thirty networks.
func (e *engine) Stopped(ctx context.Context) {
	all, err := e.client.NetworkList(ctx, client.NetworkListOptions{Filters: e.ours("")})
	if err != nil {
		return
	}
	for _, n := range all.Items {
		_, _ = e.client.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{}) // if it is used, it stays
	}
}

// config says what runs in the container of a replica. Its name is the replica's, by
// which the dealer of shards knows it, and takes the next container for the same.
func (s spec) config(name string, p process.Spec, labels map[string]string, sockets bool) *container.Config {
	env := []string{"HOME=" + runDir, "LANG=C.UTF-8", "TMPDIR=/tmp"}
	for _, v := range p.Env {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"PATH", "HOME", "LANG", "TMPDIR", "MYELIN_CACHE", "LISTEN_FDS", "LISTEN_FDNAMES"}, name) {
			env = append(env, v)
		}
	}
	if sockets {
		env = append(env, handoff.Variable+"="+path.Join(scratchDir, socketsFile))
	}
	return &container.Config{
		Hostname: name, Image: s.Image, Entrypoint: append([]string{s.Program}, p.Args...), Env: env, WorkingDir: runDir, User: s.User, Labels: labels, StopSignal: "SIGTERM",
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}, // the supervisor sees to it
	}
}

// host says how a container is kept from all else. The engine restarts none: who has
// its listening socket does.
func (s spec) host(binds []string) *container.HostConfig {
	most := int64(mostProcesses)
	h := &container.HostConfig{
		Binds: append(binds, s.Volumes...), NetworkMode: container.NetworkMode(s.Network), RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, ReadonlyRootfs: true, Tmpfs: map[string]string{"/tmp": tmpfsOptions},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "8m", "max-file": "2"}},
		Resources: container.Resources{Memory: s.Memory, MemorySwap: s.Memory, NanoCPUs: s.NanoCPUs, PidsLimit: &most},
	}
	if !h.NetworkMode.IsHost() && !h.NetworkMode.IsNone() {
		h.ExtraHosts = []string{"host.docker.internal:host-gateway"}
	}
	if s.Artefact != "" { // as a mount, which fails if there is no such directory, where a bind makes one
		h.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: s.Artefact, Target: functionDir, ReadOnly: true}}
	}
	if s.GPUs != 0 {
		h.DeviceRequests = []container.DeviceRequest{{Count: s.GPUs, Capabilities: [][]string{{"gpu"}}}}
	}
	return h
}

// Removed implements [local.Engine].
func (e *engine) Removed(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	left, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: e.ours(name)})
	if err != nil {
		return e.problem("list containers", err)
	}
	var errs []error
	for _, c := range left.Items {
		errs = append(errs, e.remove(ctx, c.ID))
	}
	e.tidyImages(ctx, name, 0)
	if network := e.networkOf(platform.Deployment{Name: name}); e.network == "" {
		_, _ = e.client.NetworkRemove(ctx, network, client.NetworkRemoveOptions{}) // if it is used, it stays
	}
	return errors.Join(errs...)
}
