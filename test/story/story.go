// Package story tells the whole story of a function, once for every platform: it is
// built, deployed, invoked, published, shared out by an alias, fed by a mapping, put to
// sleep and woken, rolled under load, and all of it is killed. It is a client of the
// control plane like any other, and knows of a platform only what [Platform] says. What a
// platform does with one deployment is the matter of package platformtest.
package story

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/test/servers"
)

// Platform is a control plane and what its functions run on.
type Platform interface {
	// Up starts a control plane, the first or one after that was killed, on the same
	// data and at the same addresses, and returns when it and its gateway answer. What
	// functions run on is there from then on, too.
	Up(t *testing.T) Doors
	// Kill kills a part with SIGKILL, or with what is like it there.
	Kill(t *testing.T, what Part)
	// Reach is where functions reach a server that listens at a loopback address of
	// this machine.
	Reach(t *testing.T, address string) string
}

// Doors are the addresses of a control plane and its gateway, as host:port.
type Doors struct{ API, Gateway string }

// Part is something that can be killed.
type Part string

// The parts. After the last two Up is called.
const (
	Functions  Part = "the functions"     // what they run in, all at once
	Control    Part = "the control plane" // and nothing else
	Everything Part = "everything"        // both, the gateway, and what runs containers
)

// patience bounds every wait; it is long because machines that test are busy.
const patience = 90 * time.Second

// story is one telling.
type story struct {
	*testing.T // of the chapter that is told
	platform   Platform
	doors      Doors
	client     *client.Client
	redis      *redis.Client
	reached    string // where functions reach Redis
	artefact   build.Artefact
	last       int // version that was published
}

// Run tells the story.
func Run(t *testing.T, p Platform) {
	server := servers.Redis(t)
	s := &story{platform: p, doors: p.Up(t), reached: p.Reach(t, server.Addr), redis: redis.NewClient(&redis.Options{Addr: server.Addr})}
	s.client = client.New("http://"+s.doors.API, "", nil)
	t.Cleanup(func() { s.redis.Close() })
	for _, chapter := range []struct {
		name string
		tell func(*story)
	}{
		{"Built", built},
		{"DeployedAndInvoked", deployedAndInvoked},
		{"PublishedAndSharedOut", publishedAndSharedOut},
		{"MappingFollowsTheAlias", mappingFollows},
		{"SleepsAndWakes", sleepsAndWakes},
		{"RollsUnderLoad", rollsUnderLoad},
		{"KilledAndLosesNothing", killed},
	} {
		began := time.Now()
		if !t.Run(chapter.name, func(t *testing.T) { s.T = t; chapter.tell(s) }) {
			return // what follows stands on it
		}
		t.Logf("%s: %v", chapter.name, time.Since(began).Round(time.Millisecond))
	}
}

// await asks until it gets no error.
func (s *story) await(what string, ok func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var why error // why not, as long as there was time to say so
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || why == nil {
			why = err
		}
		select {
		case <-ctx.Done():
			s.tell()
			s.Fatalf("waited for %s: %v", what, why)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tell logs how things stand.
func (s *story) tell() {
	functions, err := s.client.Functions(s.Context())
	for _, f := range functions {
		s.Logf("%s: %+v", f.Metadata.Name, f.Status)
		for version := range s.last + 1 {
			var log strings.Builder
			name := f.Metadata.Name
			if version > 0 {
				name = fmt.Sprint(name, ":", version)
			}
			if s.client.Logs(s.Context(), name, client.LogOptions{Which: "processor", Tail: 20}, &log) == nil {
				s.Logf("%s:\n%s", name, &log)
			}
		}
	}
	mappings, err2 := s.client.Mappings(s.Context(), client.Selection{})
	for _, m := range mappings {
		triggers, err := s.client.MappingTriggers(s.Context(), m.Metadata.Name)
		s.Logf("%s: %+v: %+v, %v", m.Metadata.Name, m.Status, triggers, err)
	}
	s.Log(errors.Join(err, err2))
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}
