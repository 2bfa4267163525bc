package servers

import (
	"fmt"
	"os"
)

// command says how a part is started.
func (n *nodeFiles) command(name string, s *Server) (path string, args []string, err error) {
	if name == Containerd {
		return "/usr/bin/containerd", []string{"--config", n.path("containerd.toml")}, nil
	}
	if name != ClusterStore && name != APIServer {
		if _, err := n.kubeconfig(name+".kubeconfig", name, "https://127.0.0.1:"+portOf[APIServer]); err != nil {
			return "", nil, err
		}
	}
	return n.hyperkube, n.flags(name, s), nil
}

func (n *nodeFiles) flags(name string, s *Server) []string {
	config := "--kubeconfig=" + n.path(name+".kubeconfig")
	switch name {
	case ClusterStore:
		at := "http://127.0.0.1:" + portOf[ClusterStore]
		return []string{"--data-dir=" + s.path("data"), "--listen-client-urls=" + at, "--advertise-client-urls=" + at,
			"--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level=error"}
	case APIServer:
		return n.apiServer()
	case ControllerManager:
		return append(n.asks(config), "--use-service-account-credentials", "--service-account-private-key-file="+n.ca.path("accounts.key"),
			"--root-ca-file="+n.ca.path("ca.crt"), "--cluster-signing-cert-file="+n.ca.path("ca.crt"), "--cluster-signing-key-file="+n.ca.path("ca.key"),
			"--allocate-node-cidrs", "--cluster-cidr="+podNetwork, "--node-cidr-mask-size=24")
	case Scheduler:
		return n.asks(config)
	case Kubelet:
		return []string{config, "--config=" + n.path("kubelet.yaml"), "--root-dir=" + n.path("kubelet"), "--cert-dir=" + n.path("kubelet-pki"),
			"--hostname-override=" + nodeName, "--node-ip=" + nodeAddress}
	}
	return []string{"--config=" + n.path("proxy.yaml")}
}

// asks is how the parts that are alone in their kind ask the API server.
func (n *nodeFiles) asks(config string) []string {
	return []string{config, "--authentication-" + config[2:], "--authorization-" + config[2:], "--leader-elect=false"}
}

func (n *nodeFiles) apiServer() []string {
	p := n.ca.path
	return []string{"--etcd-servers=http://127.0.0.1:" + portOf[ClusterStore], "--secure-port=" + portOf[APIServer], "--advertise-address=" + nodeAddress,
		"--service-cluster-ip-range=" + services, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + p("ca.crt"), "--tls-cert-file=" + p("apiserver.crt"), "--tls-private-key-file=" + p("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + p("accounts.pub"), "--service-account-signing-key-file=" + p("accounts.key"),
		"--kubelet-client-certificate=" + p("apiserver-kubelet.crt"), "--kubelet-client-key=" + p("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + p("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + p("ca.crt"), "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + p("front-proxy.crt"), "--proxy-client-key-file=" + p("front-proxy.key"), "--enable-aggregator-routing=true"}
}

// files writes what the parts read that take no flags for it.
func (n *nodeFiles) files() error {
	for name, content := range map[string]string{
		"resolv.conf": "",
		"containerd.toml": fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
`, n.path("images"), n.socket, pauseImage, n.path("cni")),
		"kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: %q
containerRuntimeEndpoint: unix://%s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[3]s/ca.crt}}
authorization: {mode: Webhook}
featureGates: {KubeletInUserNamespace: true}
failSwapOn: false
oomScoreAdj: 0
tlsCertFile: %[3]s/kubelet-serving.crt
tlsPrivateKeyFile: %[3]s/kubelet-serving.key
volumePluginDir: %[4]s/volume-plugins
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
clusterDomain: cluster.local
resolvConf: %[4]s/resolv.conf
maxPods: 200
`, n.group, n.socket, n.ca.dir, n.dir),
		"proxy.yaml": fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: %s}
clusterCIDR: %s
hostnameOverride: %s
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, n.path(KubeProxy+".kubeconfig"), podNetwork, nodeName),
	} {
		if err := n.write(name, content); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(n.path("cni"), 0o700); err != nil {
		return err
	}
	return n.write("cni/10-pods.conflist", `{"cniVersion": "1.0.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
`)
}
