// Package platform defines where functions run. It holds the contract only:
// each platform is a folder below, and platformtest is the suite that each of
// them passes.
package platform

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// Platform runs deployments. It is told states, not changes: Apply may be
// called again at any time with the same or another deployment, and does what
// is left to do. Its life: a constructor that opens nothing; Run, which adopts
// what a former life left running and supervises until ctx is done; Apply,
// Remove and Observe from any goroutine while Run runs.
type Platform interface {
	// Apply makes d what runs under d.Name: new replicas are ready before old
	// ones drain, and if they do not get ready in time the old ones stay and
	// the error says why, with the last lines of the log. It returns when all
	// replicas of d are ready and, where the platform can know it, connections made
	// from then on reach no others; old ones may still drain.
	Apply(ctx context.Context, d Deployment) error
	// Remove drains and removes every replica of name and frees its address.
	// Removing what is not there is no error. If ctx is cancelled the replicas
	// drain on, and it is to be called again, or Apply.
	Remove(ctx context.Context, name string) error
	// Observe says what runs. Name "" means every deployment.
	Observe(ctx context.Context, name string) ([]Observed, error)
}

// Runner is implemented by platforms that supervise: Run blocks until ctx is
// done. It leaves functions running; Stop of [Stopper] ends them.
type Runner interface {
	Run(ctx context.Context) error
}

// Stopper is implemented by platforms whose functions end with the machine's
// owner's wish: Stop drains every replica and keeps its address for next time.
type Stopper interface {
	Stop(ctx context.Context) error
}

// Notifier is implemented by platforms that can say when something changed:
// the name of a deployment to observe again. Lost names do no harm.
type Notifier interface{ Changes() <-chan string }

// Logs is implemented by platforms that keep their replicas' logs.
type Logs interface {
	// Logs writes the log of a function to w: the last tail lines (all if
	// negative), and what comes then if follow, until ctx is done.
	Logs(ctx context.Context, name string, which LogKind, tail int, follow bool, w io.Writer) error
}

// Processors is implemented by platforms that let their owner ask the
// processors of a function by their admin interface.
type Processors interface {
	// Ask asks each processor that runs and returns what each answered.
	Ask(ctx context.Context, name, method, path string, body []byte) []Reply
}

// Sharer is implemented by platforms whose processors take a part of their
// sources only, or nothing, when they are told so.
type Sharer interface {
	// Share makes shares those of every processor of name, without replacing
	// any: of those that run, and of those that are started later. It returns
	// when all that run do as they are told, or when ctx is done; what it
	// returns says how far that is. The same again costs next to nothing. That
	// nothing of the name runs is no error.
	Share(ctx context.Context, name string, shares function.Shares) (Shared, error)
	// Shares says what the processors of name do now, and what those are
	// started with that come next; nil if nobody has said.
	Shares(ctx context.Context, name string) (Shared, function.Shares, error)
}

// Shared is what became of shares.
type Shared struct {
	// Parts are those of each trigger, the greatest among the processors.
	Parts map[string]float64
	// Pending are the triggers that do not yet do as they are told, and why:
	// they finish what they took, or connect.
	Pending map[string]string
	// Until is of triggers that time alone drives and that have stopped: all
	// events up to then were taken.
	Until map[string]time.Time
}

// Autoscaler is implemented by platforms that can have the number of a deployment's
// replicas follow its metrics by themselves.
type Autoscaler interface {
	// Autoscales tells of a configuration whether the platform does so. It begins with
	// the Replicas that Apply is given, and leaves them when none are wanted;
	// else it alone says how many there are.
	Autoscales(c function.Config) bool
}

// Reply is a processor's answer.
type Reply struct {
	Replica string
	Status  int    // of HTTP; 0 if there was no answer
	Body    []byte // or why there was no answer
}

// Err is nil if the processor did what it was asked to do.
func (r Reply) Err() error {
	if r.Status == http.StatusOK {
		return nil
	}
	return fmt.Errorf("processor %s: %s", r.Replica, bytes.TrimSpace(r.Body))
}

// Letters is implemented by platforms that keep their functions' dead letters.
type Letters interface {
	// Letterbox returns the letters of a function, which may be gone already.
	Letterbox(name string) *letterbox.Box
	// Letterboxes names the functions that may have letters, those that are gone
	// included.
	Letterboxes() ([]string, error)
	// Redrive runs the event of a letter once more in one of the function's
	// processors. An error says that it was
	// not run, or that nobody knows.
	Redrive(ctx context.Context, name string, l *letter.Letter) (letter.Outcome, error)
}

// LogKind names one of the two streams of a processor.
type LogKind string

// The two streams.
const (
	FunctionLog  LogKind = "function"
	ProcessorLog LogKind = "processor"
)

// Deployment is a built function that shall run.
type Deployment struct {
	Name     string // unique on the platform
	Artefact build.Artefact
	Config   function.Config // what runs: may differ from the artefact's in what needs no build
	// Replicas may be 0: the deployment sleeps, and keeps its address.
	Replicas int
	// Address asks for a host:port for the function's HTTP trigger; "" lets
	// the platform choose. Observed.Address says which it got; the owner keeps
	// it and asks for it again for ever.
	Address string
	// Shares says how much of their sources the processors take. It is no part
	// of the fingerprint: those that run are told. nil leaves it to Share of
	// [Sharer], or as it was.
	Shares function.Shares
	// Fingerprint changes when the running replicas must be replaced.
	Fingerprint string
}

// Observed is a deployment as it is.
type Observed struct {
	Name        string
	Fingerprint string // of the newest deployment that got ready
	Address     string // where it answers, "" if nowhere
	// Generation changes when other processes than before are behind the
	// address: connections made earlier are closed soon and better not used.
	Generation string
	Replicas   []function.Replica
	Message    string // what is wrong, if something is
	// Asleep says that it was applied with no replicas, and that none is ready
	// yet: who connects to the address has one started, and waits for it.
	Asleep bool
}
