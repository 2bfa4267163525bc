package servers

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// nodeSpace is the first process of a cluster's space: it reaps what is left by
// others, and all end with it. The kubelet insists on some settings of the kernel: it
// is shown what it wants, so that those of the machine stay what they are. It keeps
// control groups under a group of its own.
const nodeSpace = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mkdir -p cgroup settings && mount --rbind /sys/fs/cgroup cgroup
mount -t sysfs sysfs /sys
mount --rbind cgroup /sys/fs/cgroup
for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$1"; done
for file in cpuset.cpus cpuset.mems; do
  [ ! -e "/sys/fs/cgroup/cpuset/$file" ] || cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset$1/$file"
done
for at in /run /var/log /var/lib; do mount -t tmpfs node "$at"; done
mkdir -p /var/lib/kubelet /run/netns
show() { echo "$2" >"settings/${1//\//_}"; mount --bind "settings/${1//\//_}" "/proc/sys/$1"; }
show vm/overcommit_memory 1
show vm/panic_on_oom 0
show kernel/panic 10
show kernel/panic_on_oops 1
show kernel/keys/root_maxkeys 1000000
show kernel/keys/root_maxbytes 25000000
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth1 up
ip addr add ` + nodeAddress + `/24 dev eth0
ip link set eth0 up
ip route add default dev eth0
sleep infinity &
touch ` + spaceReady + `
while :; do wait || :; done
`

// What is the same in every cluster: each has a network of its own.
const (
	nodeName    = "node"
	nodeAddress = "10.201.0.2"
	podNetwork  = "10.244.0.0/16"
	services    = "10.96.0.0/16"
	firstOfThem = "10.96.0.1"
	pauseImage  = "registry.local/pause:1"
)

// portOf is where parts listen within the space.
var portOf = map[string]string{ClusterStore: "2379", APIServer: "6443", ControllerManager: "10257", Scheduler: "10259", KubeProxy: "10256"}

// nodeFiles is what the parts of a cluster are configured by.
type nodeFiles struct {
	dir       string
	group     string
	hyperkube string
	pause     string // the program of pods that hold the others
	socket    string // of containerd
	ca        *authority
	door      net.Listener
}

// kubernetesRelease is the version of what scripts/servers.sh builds of tools/kubernetes, and the
// digest of that; a test keeps the two equal.
const kubernetesRelease = "v1.36.3-48a1d13b"

func writeNode(dir string, space *Server) (*nodeFiles, error) {
	at, err := fetched("kubernetes-" + kubernetesRelease)
	if err != nil {
		return nil, err
	}
	n := &nodeFiles{dir: dir, group: group(space), hyperkube: filepath.Join(at, "hyperkube"), pause: filepath.Join(at, "pause"),
		socket: filepath.Join(dir, "containerd.sock")}
	for _, program := range []string{"/usr/bin/containerd", "/usr/bin/ctr", "/usr/lib/cni/bridge", "/usr/sbin/conntrack"} {
		if _, err := find(filepath.Base(program), program); err != nil {
			return nil, err
		}
	}
	if err := n.certify(); err != nil {
		return nil, err
	}
	return n, n.files()
}

// certify makes all the certificates that the parts know each other by.
func (n *nodeFiles) certify() (err error) {
	if n.ca, err = newAuthority(filepath.Join(n.dir, "pki")); err != nil {
		return err
	}
	for file, who := range map[string][2]string{
		"admin": {"admin", "system:masters"}, ControllerManager: {"system:kube-controller-manager", ""},
		Scheduler: {"system:kube-scheduler", ""}, Kubelet: {"system:node:" + nodeName, "system:nodes"}, KubeProxy: {"system:kube-proxy", ""},
		"apiserver-kubelet": {"apiserver-kubelet", "system:masters"}, "front-proxy": {"front-proxy-client", ""},
	} {
		if err := n.ca.client(file, who[0], who[1]); err != nil {
			return err
		}
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if err := n.ca.server("apiserver", names, net.ParseIP(firstOfThem), net.IPv4(127, 0, 0, 1), net.ParseIP(nodeAddress)); err != nil {
		return err
	}
	if err := n.ca.server("kubelet-serving", []string{nodeName}, net.ParseIP(nodeAddress)); err != nil {
		return err
	}
	return n.ca.signer("accounts")
}

func (n *nodeFiles) path(name string) string { return filepath.Join(n.dir, name) }

func (n *nodeFiles) write(name, content string) error {
	return os.WriteFile(n.path(name), []byte(content), 0o600)
}

// kubeconfig writes who a client is, by the certificate of that name, and where it finds the API server.
func (n *nodeFiles) kubeconfig(file, name, server string) (string, error) {
	var data []any
	for _, f := range []string{"ca.crt", name + ".crt", name + ".key"} {
		text, err := os.ReadFile(n.ca.path(f))
		if err != nil {
			return "", err
		}
		data = append(data, base64.StdEncoding.EncodeToString(text))
	}
	return n.path(file), n.write(file, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: it, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: it, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
current-context: it
`, append([]any{server}, data...)...))
}
