package function

import "time"

// Function is a configuration as the control plane keeps it, with its status.
type Function struct {
	Config
	Status Status `json:"status"`
}

// State is where a function is in its life. The words are Nuclio's.
type State string

// The states of a function.
const (
	WaitingForBuild State = "waitingForBuild"
	Building        State = "building"
	Configuring     State = "configuringResources"
	Ready           State = "ready"
	Unhealthy       State = "unhealthy" // was ready; replicas fail
	Failed          State = "error"     // build or first start failed
	Disabled        State = "disabled"
	Deleting        State = "deleting"
	Asleep          State = "scaledToZero" // nothing runs until there is something to do
)

// Status is what is, beside the spec, which says what shall be.
type Status struct {
	// Where the function is in its life.
	State State `json:"state"`
	// Why, when something is wrong.
	Message string `json:"message,omitempty"`
	// Digest of the artefact that runs.
	Artefact string `json:"artefact,omitempty"`
	// The function itself, as host:port.
	Address string `json:"address,omitempty"`
	// The function through the gateway.
	URL string `json:"url,omitempty"`
	// Its processors.
	Replicas []Replica `json:"replicas,omitempty"`
	// How many processors are wanted and why, if their number follows the load.
	Scaling *Scaling `json:"scaling,omitempty"`
	// Revision of the spec that this status is about.
	Observed int64 `json:"observedRevision,omitempty"`
	// When the state last changed.
	Changed time.Time `json:"changed,omitzero"`
	// The last lines of a failed build or start.
	Logs []string `json:"logs,omitempty"`
}

// Replica is one processor of a function.
type Replica struct {
	// Name of the replica, unique within the function.
	Name string `json:"name"`
	// starting, ready, draining or backoff.
	State string `json:"state"`
	// Process id, 0 if it does not run.
	PID int `json:"pid,omitempty"`
	// When it was last started.
	Started time.Time `json:"started,omitzero"`
	// How often it was started again after a failure.
	Restarts int `json:"restarts,omitempty"`
	// Digest of the artefact that it runs.
	Artefact string `json:"artefact,omitempty"`
	// Why, when something is wrong.
	Message string `json:"message,omitempty"`
	// Why it was last started again, and what had to be made anew for that.
	LastEnd string `json:"lastEnd,omitempty"`
}

// Scaling says how many processors are wanted, where their number follows the load.
type Scaling struct {
	// How many.
	Replicas int `json:"replicas"`
	// Why there is no scaling to zero although minReplicas is 0.
	Kept string `json:"kept,omitempty"`
	// The last changes, the newest first.
	Moves []ScaleMove `json:"moves,omitempty"`
	// What the last start took, from what it was for to the first answer.
	Start *ScaleStart `json:"start,omitempty"`
}

// ScaleStart is what one start of a processor took.
type ScaleStart struct {
	// When what it was for was seen.
	At time.Time `json:"at"`
	// cold: a new process; warm: one that was parked.
	Way string `json:"way"`
	// In all, in seconds.
	Total float64 `json:"total"`
	// The phases, in seconds.
	Phases map[string]float64 `json:"phases,omitempty"`
}

// ScaleMove is one change of the number of processors.
type ScaleMove struct {
	// When it was decided.
	At time.Time `json:"at"`
	// How many there were.
	From int `json:"from"`
	// How many there shall be.
	To int `json:"to"`
	// Why.
	Why string `json:"why"`
}
