package cli

import (
	"cmp"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/platform/docker"
	"github.com/myelin-run/myelin/platform/docker/relay"
)

// engineFlags say which Docker engine.
func engineFlags(fs *pflag.FlagSet, h *relay.Host, what string) {
	fs.StringVar(&h.Address, "docker-host", "", what+": `unix:///path`, or tcp://host:port of another machine (default what DOCKER_HOST says, else "+docker.DefaultHost+")")
	fs.StringVar(&h.Certificates, "docker-cert-path", "", "`directory` with ca.pem, cert.pem and key.pem for an engine of another machine (default what DOCKER_CERT_PATH says, or ~/.docker if DOCKER_TLS_VERIFY is set)")
	fs.BoolVar(&h.Insecure, "docker-insecure", false, "reach an engine of another machine without TLS: whoever is on the way is root there")
}

// engineAt completes where an engine is by what Docker's own programs read.
func engineAt(h relay.Host) (relay.Host, error) {
	h.Address = cmp.Or(h.Address, os.Getenv("DOCKER_HOST"), docker.DefaultHost)
	if h.Socket() {
		if h != (relay.Host{Address: h.Address, Forwarded: h.Forwarded}) {
			return h, usage("--docker-cert-path and --docker-insecure are for engines of other machines, tcp://host:port")
		}
		return h, nil
	}
	h.Certificates = cmp.Or(h.Certificates, os.Getenv("DOCKER_CERT_PATH"))
	if h.Certificates == "" && os.Getenv("DOCKER_TLS_VERIFY") != "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return h, err
		}
		h.Certificates = filepath.Join(home, ".docker")
	}
	if h.Certificates != "" {
		abs, err := filepath.Abs(h.Certificates)
		if err != nil {
			return h, err
		}
		h.Certificates = abs
	}
	if err := h.Validate(); err != nil {
		return h, usage("%v", err)
	}
	return h, nil
}
