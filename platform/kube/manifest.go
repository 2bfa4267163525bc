package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/myelin-run/myelin/platform"
)

// manifest is what a deployment is made of in the cluster.
type manifest struct {
	secret     *corev1.Secret
	deployment *appsv1.Deployment
	service    *corev1.Service                        // nil: the function has no http trigger
	budget     *policyv1.PodDisruptionBudget          // nil: there is one replica only
	autoscaler *autoscalingv2.HorizontalPodAutoscaler // nil: the control plane says how many replicas there are
}

// Names and numbers of a pod.
const (
	container   = "function"
	httpPort    = 8080
	adminPort   = 8082
	servicePort = 80
	configKey   = "processor.yaml"
)

// manifest says what there shall be of d, in which defaults are filled in.
func (p *Platform) manifest(d platform.Deployment, image string) (*manifest, error) {
	if d.Replicas < 1 {
		return nil, fmt.Errorf("%d replicas: on Kubernetes functions do not scale to zero yet: want minReplicas of 1 or more", d.Replicas)
	}
	if err := refuse(d.Config); err != nil {
		return nil, err
	}
	id := p.idOf(d.Name)
	http := d.Config.ServedTrigger()
	config, err := p.processorFile(d, id, http)
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	meta := func(kind, version, name string) (metav1.TypeMeta, metav1.ObjectMeta) {
		return metav1.TypeMeta{Kind: kind, APIVersion: version},
			metav1.ObjectMeta{Name: name, Namespace: p.cluster.namespace, Labels: p.labels(id), Annotations: map[string]string{noteName: d.Name}}
	}
	m.secret = &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{configKey: config}}
	m.secret.TypeMeta, m.secret.ObjectMeta = meta("Secret", "v1", secretOf(id, d.Fingerprint))

	template, err := p.template(d, id, image, http != "")
	if err != nil {
		return nil, err
	}
	replicas, kept := int32(d.Replicas), int32(1) //nolint:gosec // the control plane bounds it
	m.deployment = &appsv1.Deployment{Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, RevisionHistoryLimit: &kept, Selector: &metav1.LabelSelector{MatchLabels: p.selector(id)}, Template: template,
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: number(0), MaxSurge: number(1)}},
	}}
	m.deployment.TypeMeta, m.deployment.ObjectMeta = meta("Deployment", "apps/v1", id)
	if d.Shares != nil {
		text, err := json.Marshal(d.Shares)
		if err != nil {
			return nil, err
		}
		m.deployment.Annotations[noteShares] = string(text)
	}
	if err := read(d.Config.Spec.DeploymentStrategy, "spec.deploymentStrategy", &m.deployment.Spec.Strategy); err != nil {
		return nil, err
	}
	if http != "" {
		m.service = &corev1.Service{Spec: corev1.ServiceSpec{
			Type: corev1.ServiceType(d.Config.Spec.ServiceType), Selector: p.selector(id),
			Ports: []corev1.ServicePort{{Name: "http", Port: servicePort, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP}},
		}}
		m.service.TypeMeta, m.service.ObjectMeta = meta("Service", "v1", id)
	}
	if p.Autoscales(d.Config) {
		m.deployment.Annotations[noteElastic] = begun
		kind, named := meta("HorizontalPodAutoscaler", "autoscaling/v2", id)
		if m.autoscaler, err = autoscaler(d.Config, kind, named); err != nil {
			return nil, err
		}
	}
	if d.Replicas > 1 || m.autoscaler != nil {
		m.budget = &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: number(1), Selector: &metav1.LabelSelector{MatchLabels: p.selector(id)}}}
		m.budget.TypeMeta, m.budget.ObjectMeta = meta("PodDisruptionBudget", "policy/v1", id)
	}
	return m, nil
}

// selector finds the pods of a deployment.
func (p *Platform) selector(id string) map[string]string {
	return map[string]string{labelOwner: p.owner, labelID: id}
}

func number(n int) *intstr.IntOrString {
	v := intstr.FromInt(n)
	return &v
}

// template is the pod of a version.
func (p *Platform) template(d platform.Deployment, id, image string, http bool) (t corev1.PodTemplateSpec, err error) {
	t.Labels = p.labels(id)
	t.Annotations = map[string]string{noteName: d.Name, noteFingerprint: d.Fingerprint, noteArtefact: d.Artefact.Digest}
	for key, value := range d.Config.Metadata.Labels {
		if _, ours := t.Labels[key]; !ours {
			t.Labels[key] = value
		}
	}
	maps.DeleteFunc(t.Labels, func(key, value string) bool { return !labelFits(key, value) })
	it, err := p.container(d, image, http)
	if err != nil {
		return t, err
	}
	grace := int64(p.o.Leave.Seconds()+d.Config.Spec.DrainTimeout.Std().Seconds()) + settleTime
	no := false
	t.Spec = corev1.PodSpec{
		Containers: []corev1.Container{it}, TerminationGracePeriodSeconds: &grace,
		AutomountServiceAccountToken: &no, EnableServiceLinks: &no, SecurityContext: restricted(),
		Volumes: []corev1.Volume{
			{Name: "config", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secretOf(id, d.Fingerprint), DefaultMode: ptr[int32](0o440)}}},
			{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: tmpSize()}}},
		},
	}
	return t, asked(&t.Spec, d.Config.Spec)
}

// settleTime is how many seconds a processor has to end after its drain.
const settleTime = 5

// user is whom images run as.
const user = 65532

// restricted is what the Pod Security Standard of this name asks of a pod.
func restricted() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr[int64](user), RunAsGroup: ptr[int64](user), FSGroup: ptr[int64](user),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
}

func ptr[T any](v T) *T { return &v }

func (p *Platform) container(d platform.Deployment, image string, http bool) (c corev1.Container, err error) {
	c = corev1.Container{
		Name: container, Image: image, ImagePullPolicy: corev1.PullPolicy(d.Config.Spec.ImagePullPolicy),
		Ports:          []corev1.ContainerPort{{Name: "admin", ContainerPort: adminPort, Protocol: corev1.ProtocolTCP}},
		ReadinessProbe: probe("/ready", 1, 3), LivenessProbe: probe("/live", 5, 6),
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: max(1, int64(p.o.Leave.Seconds()))}}},
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: ptr(false), ReadOnlyRootFilesystem: ptr(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "config", MountPath: path.Join(root, configKey), SubPath: configKey, ReadOnly: true},
			{Name: "tmp", MountPath: scratchDir},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if http {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: "http", ContainerPort: httpPort, Protocol: corev1.ProtocolTCP})
	}
	if c.Resources, err = resources(d.Config.Spec.Resources); err != nil {
		return c, err
	}
	for i, v := range d.Config.Spec.Env {
		if len(v.ValueFrom) == 0 {
			continue // in processor.yaml
		}
		e := corev1.EnvVar{Name: v.Name, ValueFrom: &corev1.EnvVarSource{}}
		if err := read(v.ValueFrom, fmt.Sprintf("spec.env[%d].valueFrom", i), e.ValueFrom); err != nil {
			return c, err
		}
		c.Env = append(c.Env, e)
	}
	return c, read(d.Config.Spec.EnvFrom, "spec.envFrom", &c.EnvFrom)
}

func probe(path string, every, failures int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("admin")}},
		PeriodSeconds: every, FailureThreshold: failures, TimeoutSeconds: 5}
}
