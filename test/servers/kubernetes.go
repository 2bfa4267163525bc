package servers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	nothing "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
)

// Parts of a [Kube].
const (
	Containerd        = "containerd"
	ClusterStore      = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	KubeProxy         = "kube-proxy"
)

// order is that in which parts are started; they are ended the other way round.
var order = []string{ClusterStore, APIServer, Containerd, ControllerManager, Scheduler, Kubelet, KubeProxy}

// Kube is a Kubernetes of one node, running when a test gets it: etcd, API server,
// controller manager, scheduler, kubelet, proxy, and containerd with the usual plugins.
// It has processes, mounts and a network of its own, which go when it does.
type Kube struct {
	// Parts are its processes by name. Each can be killed, stopped, paused and
	// started again.
	Parts map[string]*Server
	// Config is a file for kubectl and other clients on this machine, with every right.
	Config string
	// Within is Config for clients that are in the node's network; see Inside.
	Within string

	dir   string
	space *Server
	node  *nodeFiles
}

// Kubernetes starts a cluster, for root only.
func Kubernetes(t T) *Kube {
	t.Helper()
	return kubernetes(t, order)
}

// KubernetesAPI starts a cluster that keeps objects and runs nothing: of its parts only
// etcd and the API server.
func KubernetesAPI(t T) *Kube {
	t.Helper()
	return kubernetes(t, []string{ClusterStore, APIServer})
}

func kubernetes(t T, parts []string) *Kube {
	t.Helper()
	c, err := newCluster(t.TempDir())
	if err != nil {
		t.Fatalf("prepare kubernetes: %v", err)
	}
	t.Cleanup(func() { c.finish(t) })
	if err := c.start(parts); err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// finish ends the cluster, and tells what its parts wrote if the test failed.
func (c *Kube) finish(t T) {
	for _, name := range order {
		if s := c.Parts[name]; s.begun() {
			if err := s.vanished(); err != nil {
				t.Logf("%v", err)
			}
			s.tell(t, 0)
		}
	}
	if err := c.close(); err != nil {
		t.Logf("close kubernetes: %v", err)
	}
}

func newCluster(dir string) (*Kube, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a cluster needs root")
	}
	c := &Kube{Parts: map[string]*Server{}, dir: dir}
	var err error
	if c.space, err = prepare(kind{"node", configureNode}, filepath.Join(dir, "node"), options{}); err != nil {
		return nil, err
	}
	if c.node, err = writeNode(dir, c.space); err != nil {
		return nil, errors.Join(err, c.close())
	}
	for _, name := range order {
		if c.Parts[name], err = prepare(kind{name, c.configure(name)}, filepath.Join(dir, name), options{}); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	c.Config, err = c.node.kubeconfig("kubeconfig", "admin", "https://"+c.Parts[APIServer].Addr)
	if err == nil {
		c.Within, err = c.node.kubeconfig("kubeconfig-within", "admin", "https://"+net.JoinHostPort("127.0.0.1", portOf[APIServer]))
	}
	return c, err
}

// configureNode makes the space that all parts live in. It has no program but that.
func configureNode(s *Server, _ options) error {
	s.program.side = func() *exec.Cmd {
		cmd := exec.Command("/bin/bash", "-c", nodeSpace, "space", group(s))
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET}
		return cmd
	}
	s.program.command = func() *exec.Cmd { return exec.Command("/bin/sleep", "infinity") }
	s.program.enter = func() error {
		if err := s.furnished(); err != nil {
			return err
		}
		return s.enter(unix.CLONE_NEWPID)
	}
	s.program.ready = func(context.Context) error { return nil }
	s.program.left = func() { removeGroups(group(s)) }
	return nil
}

// group is the control group of all that runs in the space of a node.
func group(s *Server) string { return fmt.Sprintf("/myelin-test-%d", s.ports[0].N) }

// configure makes one part, which lives in the space.
func (c *Kube) configure(name string) func(*Server, options) error {
	return func(s *Server, _ options) error {
		path, args, err := c.node.command(name, s)
		if err != nil {
			return err
		}
		s.program.command = func() *exec.Cmd {
			cmd := exec.Command(path, args...)
			cmd.Args[0] = name
			cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
			return cmd
		}
		s.program.enter = func() error {
			return c.space.enter(unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET)
		}
		s.program.ready = c.ready(name)
		return nil
	}
}

// ready says how a part shows that it serves.
func (c *Kube) ready(name string) func(context.Context) error {
	switch name {
	case APIServer:
		return func(ctx context.Context) error { return c.Get(ctx, "/readyz", nil) }
	case ClusterStore, ControllerManager, Scheduler, KubeProxy:
		return c.listens(name)
	case Kubelet:
		return c.nodeReady
	}
	return func(context.Context) error { // containerd
		_, err := os.Stat(c.node.socket)
		return err
	}
}

func (c *Kube) listens(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := c.Dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", portOf[name]))
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func (c *Kube) nodeReady(ctx context.Context) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.Get(ctx, "/api/v1/nodes/"+nodeName, &node); err != nil {
		return err
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == "Ready" {
			if cond.Status == "True" {
				return nil
			}
			return errors.New(cond.Message)
		}
	}
	return errors.New("the node says nothing")
}

// start starts parts. A part is started when those that it needs serve.
func (c *Kube) start(parts []string) error {
	if err := c.space.Start(); err != nil {
		return err
	}
	began := time.Now()
	for _, name := range parts {
		if err := c.Parts[name].Start(); err != nil {
			return fmt.Errorf("start kubernetes, after %v: %w", time.Since(began).Round(time.Millisecond), err)
		}
		if name == APIServer {
			if err := c.letIn(); err != nil {
				return err
			}
		}
	}
	if !slices.Contains(parts, Containerd) {
		return nil
	}
	tarball := c.node.path("pause.tar")
	if err := pauseTar(tarball, c.node.pause); err != nil {
		return fmt.Errorf("make image of pause: %w", err)
	}
	return c.load("pause", tarball)
}

// letIn passes connections to the API server's address on this machine on.
func (c *Kube) letIn() error {
	l, err := net.Listen("tcp", c.Parts[APIServer].Addr)
	if err != nil {
		return err
	}
	c.node.door = l
	go c.passIn(l, net.JoinHostPort("127.0.0.1", portOf[APIServer]))
	return nil
}

// passIn passes who comes on to an address inside, until l is closed.
func (c *Kube) passIn(l net.Listener, address string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go passBy(in, func() (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
			defer cancel()
			return c.Dial(ctx, "tcp", address)
		})
	}
}

func (c *Kube) close() error {
	var errs []error
	for i := range order { // the last one first
		if s := c.Parts[order[len(order)-1-i]]; s != nil {
			errs = append(errs, s.close())
		}
	}
	if c.node != nil && c.node.door != nil {
		errs = append(errs, c.node.door.Close())
	}
	return errors.Join(append(errs, c.space.close())...)
}

// Dial connects to an IP address and port in the cluster's network: of a pod, of a service, of the node.
func (c *Kube) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.space.Dial(ctx, network, address)
}

// Get asks the API server for what is at a path, with every right. A nil into
// takes only whether it answers 200.
func (c *Kube) Get(ctx context.Context, path string, into any) error {
	cert, err := tls.LoadX509KeyPair(c.node.ca.path("admin.crt"), c.node.ca.path("admin.key"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.node.ca.cert)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.Dial,
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+portOf[APIServer]+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Kubectl runs kubectl with every right, and returns what it prints. input is what
// it reads.
func (c *Kube) Kubectl(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.node.hyperkube, append([]string{"kubectl", "--kubeconfig", c.Config}, args...)...)
	cmd.Stdin = bytes.NewBufferString(input)
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %v: %w: %s", args, err, told.String())
	}
	return out.String(), nil
}

// Load gives the node an image: a tarball as of `docker save`.
func (c *Kube) Load(t T, tarball string) {
	t.Helper()
	if err := c.load(filepath.Base(tarball), tarball); err != nil {
		t.Fatalf("%v", err)
	}
}

func (c *Kube) load(what, tarball string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/bin/ctr", "--address", c.node.socket, "--namespace", "k8s.io", "images", "import", tarball).CombinedOutput()
	if err != nil {
		return fmt.Errorf("load image %s: %w: %s", what, err, out)
	}
	return nil
}

// pauseTar writes the image that holds every pod, of its program alone.
func pauseTar(path, program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	err = w.WriteHeader(&tar.Header{Name: "pause", Mode: 0o555, Size: int64(len(text))})
	if err == nil {
		_, err = w.Write(text)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		return err
	}
	image, err := mutate.ConfigFile(nothing.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"}})
	if err == nil {
		image, err = mutate.AppendLayers(image, layer)
	}
	if err != nil {
		return err
	}
	tag, err := name.NewTag(pauseImage)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}

// Inside does something in the node's network: a program that it starts is there, and
// reaches pods and services as the node does.
func (c *Kube) Inside(do func() error) error { return c.space.Inside(do) }

// Let lets this machine reach what listens on a loopback address inside, at the same
// address.
func (c *Kube) Let(t T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("let %s be reached: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	go c.passIn(l, address)
}

// NodeAddress is where pods reach what the node listens at.
func (c *Kube) NodeAddress() string { return nodeAddress }

// Reach lets the node reach what listens on a loopback address outside, a registry say, at the
// same address.
func (c *Kube) Reach(t T, address string) {
	t.Helper()
	c.space.Reach(t, address)
}
