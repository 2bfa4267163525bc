package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/platform/docker"
)

// renewTime is how often the files of the gateway's certificate are looked at.
const renewTime = 2 * time.Second

// The certificate in the gateway's own directory.
const (
	lentCertificate = "tls.crt"
	lentKey         = "tls.key"
)

// equip makes the directory that gateways share and returns the command of one
// with its settings.
func (g *gatewayProcess) equip() ([]string, error) {
	s := g.o.Gateway
	if err := os.MkdirAll(s.Store, 0o700); err != nil {
		return nil, err
	}
	if err := g.own(s.Store); err != nil {
		return nil, err
	}
	if g.o.Docker != nil {
		dir := (&Control{g.o}).door()
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755), g.own(dir)); err != nil {
			return nil, err
		}
		s.Door = filepath.Join(dir, docker.DoorFile)
	}
	if s.Certificate != "" {
		if err := g.lend(); err != nil {
			return nil, err
		}
		s.Certificate, s.Key = filepath.Join(s.Store, lentCertificate), filepath.Join(s.Store, lentKey)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return append(g.o.GatewayCommand[:len(g.o.GatewayCommand):len(g.o.GatewayCommand)], "--settings", string(b)), nil
}

// own gives a file to the gateway's user, if it has one.
func (g *gatewayProcess) own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, gatewayUser, gatewayUser)
}

// lend copies the certificate to where the gateway may read it, if it is
// another one. The gateway sees that it changed.
func (g *gatewayProcess) lend() error {
	s := g.o.Gateway
	if s.Certificate == "" {
		return nil
	}
	for name, from := range map[string]string{lentCertificate: s.Certificate, lentKey: s.Key} {
		to := filepath.Join(s.Store, name)
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if had, err := os.ReadFile(to); err == nil && bytes.Equal(had, b) {
			continue
		}
		temp := to + ".new"
		err = os.WriteFile(temp, b, 0o600)
		if err == nil {
			err = errors.Join(g.own(temp), os.Rename(temp, to))
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
	}
	return nil
}
