package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/myelin-run/myelin/event"
)

// ours are the cases of h2spec that end otherwise than it expects, and why.
var ours = map[string]string{
	"http2/3.5 Sends invalid connection preface":                                                                   "what is no preface is HTTP/1.1, and answered so",
	"http2/4.2 Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE":                          "the library closes the connection without a word",
	"http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                            "the library refuses a setting that is there twice",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field":                       "the library answers 400",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "the library answers 400",
}

// The cases of h2spec pass. They run side by side; one that fails is run again,
// for a machine that was busy.
func TestH2Spec(t *testing.T) {
	s := serve(t, quick, func(_ context.Context, _ *event.Event, resp *event.Response) error {
		resp.Body = append(resp.Body, "ok"...)
		return nil
	})
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	var cases []*spec.TestCase
	for _, g := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		cases = append(cases, casesOf(g)...)
	}
	if len(cases) < 140 {
		t.Errorf("there are %d cases only", len(cases))
	}
	var wg sync.WaitGroup
	room := make(chan struct{}, 16)
	for _, c := range cases {
		name := c.Parent.ID() + " " + c.Desc
		if ours[name] != "" {
			continue
		}
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			var err error
			for range 3 {
				conf := &config.Config{Host: host, Port: n, Path: "/", Timeout: 5 * time.Second, MaxHeaderLen: 4000}
				if err = once(conf, c); err == nil {
					return
				}
			}
			t.Errorf("%s: %v", name, err)
		})
	}
	wg.Wait()
}

func once(conf *config.Config, c *spec.TestCase) error {
	conn, err := spec.Dial(conf)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	if err := c.Run(conf, conn); err != nil && !errors.Is(err, spec.ErrSkipped) {
		return err
	}
	return nil
}

func casesOf(g *spec.TestGroup) []*spec.TestCase {
	cases := g.Tests
	for _, sub := range g.Groups {
		cases = append(cases, casesOf(sub)...)
	}
	return cases
}
