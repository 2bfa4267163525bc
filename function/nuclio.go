package function

import (
	"encoding/json"

	"github.com/myelin-run/myelin/quantity"
)

// Nuclio holds the fields of Nuclio's spec that the local platform does not
// use. They are kept, so that a spec comes back as it went in, and read by the
// platforms that know them.
type Nuclio struct {
	// Whether the function is published. Nuclio never used it.
	Publish bool `json:"publish,omitempty"`
	// Version of the function; -1 is the latest.
	Version int `json:"version,omitempty"`
	// Alias of the version, such as "latest".
	Alias string `json:"alias,omitempty"`
	// Sources of environment variables, as Kubernetes writes them.
	EnvFrom json.RawMessage `json:"envFrom,omitempty"`

	// Container image that runs the function.
	Image string `json:"image,omitempty"`
	// Tag that Nuclio gave the image it built.
	ImageHash string `json:"imageHash,omitempty"`
	// When the image is pulled: Always, IfNotPresent or Never.
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
	// Name of the Kubernetes secret used to pull the image.
	ImagePullSecrets string `json:"imagePullSecrets,omitempty"`
	// Registry from which the image is pulled, if it is not the one it is pushed to.
	RunRegistry string `json:"runRegistry,omitempty"`

	// Processor use of a replica that is aimed at, in per cent of its cpu limit or of one core. Default 75 with a cpu limit, else none.
	TargetCPU int `json:"targetCPU,omitempty"`
	// Metrics by which Kubernetes scales, as its autoscaler writes them.
	CustomScalingMetricSpecs json.RawMessage `json:"customScalingMetricSpecs,omitempty"`
	// Metrics by which Nuclio scales.
	AutoScaleMetrics json.RawMessage `json:"autoScaleMetrics,omitempty"`
	// When the function is scaled to zero.
	ScaleToZero *ScaleToZero `json:"scaleToZero,omitempty"`

	// Devices of the host, as "host path:container path:permissions".
	Devices []string `json:"devices,omitempty"`
	// Volumes and where they are mounted, each a pair of volume and volumeMount.
	Volumes json.RawMessage `json:"volumes,omitempty"`
	// Labels that a node must have.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// The node on which the function runs.
	NodeName string `json:"nodeName,omitempty"`
	// Which nodes and neighbours the function prefers, as Kubernetes writes it.
	Affinity json.RawMessage `json:"affinity,omitempty"`
	// Taints of nodes that the function bears, as Kubernetes writes them.
	Tolerations json.RawMessage `json:"tolerations,omitempty"`
	// Kubernetes priority class.
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// Whether the function may displace others: Never or PreemptLowerPriority.
	PreemptionPolicy string `json:"preemptionPolicy,omitempty"`
	// Whether it may run on nodes that can be taken away: allow, constrain, prevent or none.
	PreemptionMode string `json:"preemptionMode,omitempty"`

	// Whether a deployment waits for the whole readiness timeout before it fails.
	WaitReadinessTimeoutBeforeFailure bool `json:"waitReadinessTimeoutBeforeFailure,omitempty"`
	// How a new version replaces the old one, as a Kubernetes deployment writes it.
	DeploymentStrategy json.RawMessage `json:"deploymentStrategy,omitempty"`
	// Kubernetes service type: ClusterIP, NodePort or LoadBalancer.
	ServiceType string `json:"serviceType,omitempty"`
	// Containers that run beside the function, by name.
	Sidecars map[string]json.RawMessage `json:"sidecars,omitempty"`
	// Containers that run before the function starts.
	InitContainers json.RawMessage `json:"initContainers,omitempty"`

	// User, groups and capabilities, as Kubernetes writes a pod's security context.
	SecurityContext json.RawMessage `json:"securityContext,omitempty"`
	// Kubernetes service account.
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// Whether the function shares the host's inter-process communication.
	HostIPC bool `json:"hostIPC,omitempty"`
	// Nuclio's switch to store secrets in clear. Myelin shows none either way.
	DisableSensitiveFieldsMasking bool `json:"disableSensitiveFieldsMasking,omitempty"`

	// Settings of one platform, such as Docker's network, restartPolicy and mountMode.
	Platform json.RawMessage `json:"platform,omitempty"`
	// Address of Nuclio's dealer, which never was.
	DealerURI string `json:"dealerURI,omitempty"`
}

// ScaleToZero says when a function without work gives up its last replica.
type ScaleToZero struct {
	// The measures that must all be low.
	ScaleResources []ScaleResource `json:"scaleResources,omitempty"`
}

// ScaleResource is a measure that keeps a function running.
type ScaleResource struct {
	// Name of the metric.
	MetricName string `json:"metricName"`
	// How long the metric must be low.
	WindowSize quantity.Duration `json:"windowSize,omitempty"`
	// The metric is low up to this value.
	Threshold int `json:"threshold,omitempty"`
}

// NuclioTrigger holds the fields of Nuclio's triggers that nothing here uses.
type NuclioTrigger struct {
	// Shards to read, for the kinds that do not share them out.
	Partitions []Partition `json:"partitions,omitempty"`
	// Left over from Nuclio's dealer.
	TotalTasks int `json:"total_tasks,omitempty"`
	// Left over from Nuclio's dealer.
	MaxTaskAllocation int `json:"max_task_allocation,omitempty"`
}

// Partition names a shard of a stream and where to begin in it.
type Partition struct {
	// Name of the shard.
	ID string `json:"id" document:"scalar"`
	// Where to begin; the form is the source's.
	Checkpoint string `json:"checkpoint,omitempty" document:"scalar"`
}

// NuclioBuild holds the fields of Nuclio's build that make container images.
type NuclioBuild struct {
	// Name of the function.yaml within the sources.
	FunctionConfigPath string `json:"functionConfigPath,omitempty"`
	// Directory for what the build leaves behind when noCleanup is set.
	TempDir string `json:"tempDir,omitempty"`
	// Registry that the image is pushed to.
	Registry string `json:"registry,omitempty"`
	// Registry that base images come from.
	BaseImageRegistry string `json:"baseImageRegistry,omitempty"`
	// Name of the image that is built.
	Image string `json:"image,omitempty"`
	// Image that the function's image is made from.
	BaseImage string `json:"baseImage,omitempty"`
	// Image that directives may copy from, as the stage called processor.
	OnbuildImage string `json:"onbuildImage,omitempty"`
	// Whether base images are used as they are on this machine.
	NoBaseImagesPull bool `json:"noBaseImagesPull,omitempty"`
	// Whether every step is done anew.
	NoCache bool `json:"noCache,omitempty"`
	// Whether the build's temporary files are kept.
	NoCleanup bool `json:"noCleanup,omitempty"`
	// Dockerfile lines before (preCopy) and after (postCopy) the function is copied.
	Directives map[string][]Directive `json:"directives,omitempty"`
	// Scripts that Nuclio ran in the build.
	ScriptPaths []string `json:"scriptPaths,omitempty"`
	// More files and directories for the artefact.
	AddedPaths []string `json:"addedPaths,omitempty"`
	// The build's part of the runtime's own settings, such as repositories for Java.
	RuntimeAttributes json.RawMessage `json:"runtimeAttributes,omitempty"`
	// When the function was built, in seconds since 1970.
	Timestamp int64 `json:"timestamp,omitempty"`
	// Arguments of the image's build.
	Args map[string]string `json:"args,omitempty"`
	// Kubernetes service account of the build.
	BuilderServiceAccount string `json:"builderServiceAccount,omitempty"`
}

// Directive is one line of a Dockerfile.
type Directive struct {
	// The instruction, such as RUN or COPY.
	Kind string `json:"kind"`
	// What follows it.
	Value string `json:"value"`
}

// WithoutImage is a build without what only the build of a container image asks for,
// which those who run the function need not see.
func (b Build) WithoutImage() Build {
	b.Dockerfile, b.BaseImage, b.BaseImageRegistry, b.OnbuildImage, b.NoBaseImagesPull, b.Directives, b.Args = "", "", "", "", false, nil, nil
	return b
}
