package kube

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/quantity"
)

var update = flag.Bool("update", false, "write the golden file anew")

// offline is a platform whose cluster nobody asks.
func offline() *Platform {
	return &Platform{o: Options{Key: []byte("0123456789abcdef"), Leave: 8 * time.Second, Functions: "http://gateway.example.com"}, owner: "0011223344556677", cluster: &cluster{namespace: "functions"}}
}

// everything is a function that asks for all that there is.
func everything() platform.Deployment {
	cfg := function.Config{Metadata: function.Metadata{Name: "f", Labels: map[string]string{"team": "orders", "nuclio.io/project-name": "shop", "bad label": "x"}}}
	s := &cfg.Spec
	s.Env = []function.EnvVar{{Name: "PLAIN", Value: "1"}, {Name: "SECRET", ValueFrom: json.RawMessage(`{"secretKeyRef": {"name": "theirs", "key": "password"}}`)}}
	s.EnvFrom = json.RawMessage(`[{"configMapRef": {"name": "settings"}}]`)
	s.Triggers = map[string]function.Trigger{"http": {Kind: "http", Attributes: json.RawMessage(`{"port": 31000, "host": "127.0.0.1"}`)},
		"orders": {Kind: "rabbitmq", URL: "amqp://broker", Password: "swordfish"}}
	s.Resources = function.Resources{Requests: map[string]quantity.Amount{"cpu": "50m"}, Limits: map[string]quantity.Amount{"memory": "256Mi", "nvidia.com/gpu": "1"}}
	s.NodeSelector, s.PriorityClassName, s.ServiceAccount, s.ImagePullSecrets = map[string]string{"disk": "ssd"}, "high", "orders", "login"
	s.Tolerations = json.RawMessage(`[{"key": "gpu", "operator": "Exists"}]`)
	s.Affinity = json.RawMessage(`{"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}]}}`)
	s.InitContainers = json.RawMessage(`[{"name": "first", "image": "first:1"}]`)
	s.Sidecars = map[string]json.RawMessage{"beside": json.RawMessage(`{"image": "beside:1"}`)}
	s.Volumes = json.RawMessage(`[{"volume": {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, "volumeMount": {"name": "data", "mountPath": "/data"}}]`)
	function.Defaults(&cfg)
	return platform.Deployment{Name: "shop.f.3", Fingerprint: "one", Replicas: 2, Config: cfg, Artefact: build.Artefact{Digest: "sha256-1"}, Shares: function.Shares{"orders": {Part: 0.5}}}
}

// TestManifest: what a function asks for is in its objects, and nothing that it does not
// ask for changes them.
func TestManifest(t *testing.T) {
	m, err := offline().manifest(everything(), "registry.example.com/f@sha256:1")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(m.secret.Data[configKey], &config); err != nil {
		t.Fatal(err)
	}
	m.secret.Data = nil
	var got strings.Builder
	for _, object := range []any{config, m.secret, m.deployment, m.service, m.budget} {
		text, err := json.Marshal(object)
		if err == nil {
			text, err = document.YAML(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("---\n" + string(text))
	}
	const path = "testdata/everything.yaml"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("go test ./platform/kube -run TestManifest -update\n%s", diff)
	}
}

// TestRefused: what cannot be done is refused, and said where it is asked for.
func TestRefused(t *testing.T) {
	for want, change := range map[string]func(*platform.Deployment){
		"spec.devices":          func(d *platform.Deployment) { d.Config.Spec.Devices = []string{"/dev/null"} },
		"spec.hostIPC":          func(d *platform.Deployment) { d.Config.Spec.HostIPC = true },
		"spec.tolerations":      func(d *platform.Deployment) { d.Config.Spec.Tolerations = json.RawMessage(`[{"keyy": 1}]`) },
		"spec.env[1].valueFrom": func(d *platform.Deployment) { d.Config.Spec.Env[1].ValueFrom = json.RawMessage(`{"nothing": {}}`) },
		"spec.sidecars.function": func(d *platform.Deployment) {
			d.Config.Spec.Sidecars = map[string]json.RawMessage{container: json.RawMessage(`{}`)}
		},
		"spec.volumes[0]": func(d *platform.Deployment) {
			d.Config.Spec.Volumes = json.RawMessage(`[{"volume": {"name": "a"}, "volumeMount": {"name": "b"}}]`)
		},
		"there is no dealer": func(d *platform.Deployment) { d.Config.Spec.Triggers["orders"] = function.Trigger{Kind: "kinesis"} },
	} {
		d := everything()
		change(&d)
		if _, err := offline().manifest(d, "image"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
