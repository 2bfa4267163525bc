// Package function holds what is said about a function: its configuration as
// written in function.yaml, its versions and its status. It parses strictly,
// with the line of each mistake, fills in defaults and validates. It knows no
// trigger, runtime, builder or platform: their parts of a configuration stay
// raw until they decode them.
package function

import (
	"encoding/json"

	"github.com/myelin-run/myelin/quantity"
)

// The two formats of function.yaml. Nuclio's is accepted with our fields added.
const (
	APIVersion       = "myelin.run/v1"
	Kind             = "Function"
	NuclioAPIVersion = "nuclio.io/v1"
	NuclioKind       = "NuclioFunction"
)

// Config is a function.yaml.
type Config struct {
	// myelin.run/v1, or nuclio.io/v1 or v1beta1. Default myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Function, or NuclioFunction with nuclio.io. Default by apiVersion.
	Kind string `json:"kind,omitempty"`
	// What the function is called and labelled.
	Metadata Metadata `json:"metadata"`
	// How the function is built, run and fed.
	Spec Spec `json:"spec"`
}

// Metadata names a function.
type Metadata struct {
	// A DNS label: a-z, 0-9 and -, at most 63. dashboard, controller, dlx and scaler are reserved.
	Name string `json:"name,omitempty"`
	// Where the function lives, a DNS label. Empty: the platform's default.
	Namespace string `json:"namespace,omitempty"`
	// Labels; nuclio.io/project-name is the project.
	Labels map[string]string `json:"labels,omitempty"`
	// Notes for tools.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Revision that an update expects to replace. Empty: any.
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Spec says how a function is built, run and fed.
type Spec struct {
	// What the function is for, in the author's words.
	Description string `json:"description,omitempty"`
	// Whether the function is kept without running.
	Disable bool `json:"disable,omitempty"`
	// What is called, as "file:function"; the form is the runtime's.
	Handler string `json:"handler,omitempty"`
	// Language, a version may follow: golang, python:3.12, nodejs, java, shell, c, dotnetcore, ruby.
	Runtime string `json:"runtime,omitempty"`
	// The runtime's own settings.
	RuntimeAttributes json.RawMessage `json:"runtimeAttributes,omitempty"`

	// Environment variables of the function, in order.
	Env []EnvVar `json:"env,omitempty"`
	// How the artefact is made.
	Build Build `json:"build,omitzero"`

	// Fixed number of processors. Without it, between minReplicas and maxReplicas.
	Replicas *int `json:"replicas,omitempty"`
	// Fewest processors; 0 lets the function scale to zero. Default 1.
	MinReplicas *int `json:"minReplicas,omitempty"`
	// Most processors. Default: minReplicas, and 1 at least.
	MaxReplicas *int `json:"maxReplicas,omitempty"`
	// How their number follows the load.
	Scale *Scale `json:"scale,omitempty"`
	// Memory, processor time and others that a replica asks for and may use.
	Resources Resources `json:"resources,omitzero"`
	// Most memory of one worker where workers are processes, at least "16Mi": one that needs more is ended, with its events.
	WorkerMemory quantity.Size `json:"workerMemory,omitempty"`

	// Where events come from, by name.
	Triggers map[string]Trigger `json:"triggers,omitempty"`
	// Connections that the platform holds for the function, by name.
	DataBindings map[string]DataBinding `json:"dataBindings,omitempty"`
	// Where the function keeps what it remembers from event to event.
	State *KeyedState `json:"state,omitempty"`
	// Whether a function without http trigger gets none, instead of default-http.
	DisableDefaultHTTPTrigger bool `json:"disableDefaultHTTPTrigger,omitempty"`

	// Longest time for one event, such as "30s". 0, the default: no limit.
	EventTimeout quantity.Duration `json:"eventTimeout,omitempty"`
	// Time that a stopping processor gives to the events it has taken. Default 30s.
	DrainTimeout quantity.Duration `json:"drainTimeout,omitempty"`
	// Seconds that a new processor has to become ready. Default 120.
	ReadinessTimeoutSeconds int `json:"readinessTimeoutSeconds,omitempty"`
	// Where logs go, and from which level on.
	LoggerSinks []LoggerSink `json:"loggerSinks,omitempty"`
	Nuclio
}

// KeyedState says where a function keeps what it remembers.
type KeyedState struct {
	// Name of a data binding of class table or kv.
	Binding string `json:"binding"`
}

// Trigger holds the fields that every kind of trigger shares; Attributes are
// the kind's own.
type Trigger struct {
	// Kind of source: http, kafka, nats, cron, ...
	Kind string `json:"kind"`
	// Class of source. Nuclio's; the kind says it.
	Class string `json:"class,omitempty"`
	// Name of the trigger. Default: its key.
	Name string `json:"name,omitempty"`
	// Whether the trigger is kept without running.
	Disabled bool `json:"disabled,omitempty"`
	// Events of this trigger handled at once, at most 100000. Default 0, the runtime's own; 1 with nuclio.io.
	NumWorkers int `json:"numWorkers,omitempty"`
	// Nuclio's old name of numWorkers.
	MaxWorkers int `json:"maxWorkers,omitempty"`
	// Address of the source.
	URL string `json:"url,omitempty"`
	// Paths at the source; the meaning is the kind's.
	Paths []string `json:"paths,omitempty"`
	// User name at the source.
	Username string `json:"username,omitempty"`
	// Password at the source. It is never shown.
	Password quantity.Secret `json:"password,omitempty"`
	// Secret for the source; the meaning is the kind's. It is never shown.
	Secret quantity.Secret `json:"secret,omitempty"`
	// Notes for tools; Nuclio's kafka settings may be here too.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Time that workers have to end, such as "10s". Default: the function's drainTimeout.
	WorkerTerminationTimeout quantity.Duration `json:"workerTerminationTimeout,omitempty"`
	// Milliseconds that an event waits for a free worker. 0: not at all. Default, and below 0: 10000.
	WorkerAvailabilityTimeoutMilliseconds *int `json:"workerAvailabilityTimeoutMilliseconds,omitempty"`
	// Triggers that name the same allocator share their workers.
	WorkerAllocatorName string `json:"workerAllocatorName,omitempty"`
	// Who acknowledges an event of a stream: disable (the platform, the default), enable (either) or explicitOnly (the function).
	ExplicitAckMode string `json:"explicitAckMode,omitempty"`
	// Time that explicit acknowledgements have while shards move, such as "100ms".
	WaitExplicitAckDuringRebalanceTimeout quantity.Duration `json:"waitExplicitAckDuringRebalanceTimeout,omitempty"`
	// Which CloudEvents are unpacked, so that attributes are headers that begin with "ce-" and the body is the data: structured (and batched) ones, the default; enable, binary ones too, which checks them; require, which refuses all else; disable.
	CloudEvents string `json:"cloudEvents,omitempty"`
	// How events are gathered into one call.
	Batch *Batch `json:"batch,omitempty"`
	Delivery
	// The kind's own settings.
	Attributes json.RawMessage `json:"attributes,omitempty"`
	NuclioTrigger
}

// Batch says how events are gathered into one call.
type Batch struct {
	// enable, which calls the handler with lists of events, or disable. Default disable.
	Mode string `json:"mode,omitempty"`
	// Most events in one call, at most 2048. Default 10.
	BatchSize int `json:"batchSize,omitempty"`
	// Longest time that an event waits for others. Default 1s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
}

// EnvVar is one environment variable of the function.
type EnvVar struct {
	// Name of the variable.
	Name string `json:"name"`
	// Its value. Numbers and booleans are taken as written.
	Value string `json:"value,omitempty" document:"scalar"`
	// Where the value comes from, as Kubernetes writes it.
	ValueFrom json.RawMessage `json:"valueFrom,omitempty"`
}

// Resources are Kubernetes' requests and limits: "cpu" in cores ("500m"),
// "memory" in bytes ("128Mi"), others by their own names.
type Resources struct {
	// What a replica is promised.
	Requests map[string]quantity.Amount `json:"requests,omitempty"`
	// What a replica may use at most.
	Limits map[string]quantity.Amount `json:"limits,omitempty"`
}

// LoggerSink sends a log somewhere from a level on.
type LoggerSink struct {
	// debug, info, warn or error.
	Level string `json:"level,omitempty"`
	// Name of the sink, such as stdout or file.
	Sink string `json:"sink,omitempty"`
}

// Build says how the artefact is made.
type Build struct {
	// File, directory, archive or URL of the sources.
	Path string `json:"path,omitempty"`
	// The source itself in base64, instead of a path.
	FunctionSourceCode string `json:"functionSourceCode,omitempty"`
	// What path is: sourceCode, archive, git, github, s3 or image. Default: found out from path.
	CodeEntryType string `json:"codeEntryType,omitempty"`
	// Settings of the code entry type, such as branch and workDir.
	CodeEntryAttributes json.RawMessage `json:"codeEntryAttributes,omitempty"`
	// Commands that prepare the artefact, such as "pip install numpy".
	Commands []string `json:"commands,omitempty"`
	// File of the sources, a Dockerfile, that makes what the function stands on in a container image.
	Dockerfile string `json:"dockerfile,omitempty"`
	// Packages that the function needs, in the language's form.
	Dependencies []string `json:"dependencies,omitempty"`
	// Flags for the language's compiler or packager.
	Flags []string `json:"flags,omitempty"`
	// Whether the build does without a network.
	Offline bool `json:"offline,omitempty"`
	// Seconds that a build may take. Default 3600.
	BuildTimeoutSeconds int `json:"buildTimeoutSeconds,omitempty"`
	// neverBuild, alwaysBuild, or empty: when needed.
	Mode string `json:"mode,omitempty"`
	NuclioBuild
}

// LargestBatch is the most events that any trigger gathers into one call, 0 if
// none does.
func (s *Spec) LargestBatch() (n int) {
	for _, t := range s.Triggers {
		if t.Batch != nil && t.Batch.Mode == "enable" && !t.Disabled {
			n = max(n, t.Batch.BatchSize, 1)
		}
	}
	return n
}
