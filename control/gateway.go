package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway"
	"github.com/myelin-run/myelin/platform/local/supervise"
)

// gatewayUser is whom the gateway runs as if the control plane is root: the one
// below those of functions.
const gatewayUser = 59999

// gatewayProcess supervises the gateway and tells it its routes.
type gatewayProcess struct {
	o       Options
	routes  *routes
	changed chan struct{} // a gateway's process may be another
	begun   chan struct{} // closed when group is set

	group *supervise.Group
	mu    sync.Mutex // one push at a time
	said  string     // what was told last, and to whom
	ended bool       // it is told no more
}

func newGateway(o Options, r *routes) *gatewayProcess {
	return &gatewayProcess{o: o, routes: r, changed: make(chan struct{}, 1), begun: make(chan struct{})}
}

func (g *gatewayProcess) dir() string { return filepath.Join(g.o.DataDir, "gateway") }

// run supervises until ctx is done; the gateway goes on.
func (g *gatewayProcess) run(ctx context.Context) error {
	var who *syscall.Credential
	if os.Geteuid() == 0 {
		who = &syscall.Credential{Uid: gatewayUser, Gid: gatewayUser}
	}
	g.group = supervise.New(ctx, supervise.Options{
		Dir: g.dir(), Scratch: filepath.Join(g.o.DataDir, "g"), Credential: who,
		BeforeDrain: func() { g.push(ctx) },
		Changed: func() {
			select {
			case g.changed <- struct{}{}:
			default:
			}
		},
	})
	close(g.begun)
	defer g.group.Wait()
	renew := time.NewTicker(renewTime)
	defer renew.Stop()
	for {
		var again <-chan time.Time
		if !g.push(ctx) { // a gateway that could not be told
			again = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.changed: // it may be a new process, which knows no routes
		case <-g.routes.changed:
		case <-again:
		case <-renew.C:
			if err := g.lend(); err != nil {
				g.o.Log.Warn("read the gateway's certificate", "error", err)
			}
		}
	}
}

// begin adopts the gateway that runs, or starts one.
func (g *gatewayProcess) begin(ctx context.Context) error {
	<-g.begun
	for _, d := range []string{g.dir(), filepath.Join(g.o.DataDir, "g")} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return fmt.Errorf("start gateway: %w", err)
		}
		if err := os.Chmod(d, 0o711); err != nil {
			return fmt.Errorf("start gateway: %w", err)
		}
	}
	if err := g.group.Adopt(ctx); err != nil {
		g.o.Log.Warn("adopt gateway", "error", err)
	}
	command, err := g.equip()
	if err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	print, err := fingerprint(command)
	if err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	err = g.group.Apply(ctx, supervise.Version{
		Fingerprint: print, Path: command[0], Args: command[1:], Replicas: 1,
		Socket: "http", Address: g.o.GatewayAddr, Ready: 15 * time.Second, Drain: 25 * time.Second,
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return explain("gateway", g.o.GatewayAddr, err)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	g.push(ctx)
	return nil
}

// fingerprint changes when the gateway's program was replaced.
func fingerprint(command []string) (string, error) {
	st, err := os.Stat(command[0])
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d", command, st.Size(), st.ModTime().UnixNano()))
	return fmt.Sprintf("%x", sum[:8]), nil
}

func (g *gatewayProcess) stop(ctx context.Context) error {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	if err := g.group.Stop(ctx); err != nil {
		return fmt.Errorf("stop gateway: %w", err)
	}
	return nil
}

// url is the address of a deployment through the gateway.
func (g *gatewayProcess) url(d catalog.Deployment) string {
	if d.Namespace != route.DefaultNamespace {
		return ""
	}
	return "http://" + g.o.GatewayAddr + "/" + route.Target{Function: d.Name.Name, Version: d.Label()}.String()
}

// follow tells the gateway what is different about a deployment, before it
// returns.
func (g *gatewayProcess) follow(ctx context.Context, d catalog.Deployment) {
	if err := g.routes.refresh(ctx, d); err != nil && ctx.Err() == nil {
		g.o.Log.Warn("look at what serves", "function", d.String(), "error", err)
	}
	g.push(ctx)
}

// push tells every gateway that runs the routes as they are now, and says
// whether all of them know. Functions go on meanwhile.
func (g *gatewayProcess) push(ctx context.Context) bool {
	select {
	case <-g.begun:
	default:
		return true // run tells it when it begins
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended || ctx.Err() != nil || !g.routes.loaded() {
		return true
	}
	seq := g.routes.sequence()
	said := fmt.Sprint(seq, g.group.Observe().Replicas)
	if said == g.said {
		return true
	}
	g.said = ""
	n, err := g.routes.news()
	for _, scratch := range g.group.Scratch() {
		if err == nil {
			err = n.tell(ctx, filepath.Join(scratch, gateway.AdminFile))
		}
	}
	if err = errors.Join(err, g.routes.heard(ctx, n, err == nil)); err != nil {
		if ctx.Err() == nil {
			g.o.Log.Warn("tell the gateway its routes", "error", err)
		}
		return false
	}
	g.said = said
	return true
}

// tell tells the gateway behind a socket. One that has no socket yet is
// starting and is told when it is ready; one that knows another table than all
// should, or takes no differences, is told the whole.
func (n *news) tell(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	status := http.StatusConflict
	var err error
	if n.diff != nil {
		status, err = send(ctx, client, http.MethodPatch, n.diff)
	}
	if err == nil && (status == http.StatusConflict || status == http.StatusMethodNotAllowed) {
		var table []byte
		if table, err = n.whole(); err == nil {
			status, err = send(ctx, client, http.MethodPut, table)
		}
	}
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err == nil && status != http.StatusNoContent:
		return fmt.Errorf("gateway answered %d %s", status, http.StatusText(status))
	}
	return err
}

func send(ctx context.Context, client *http.Client, method string, text []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://gateway/routes", bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
