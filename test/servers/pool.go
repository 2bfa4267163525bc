package servers

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Pool holds the servers that the tests of one binary share, each started when
// the first test asks for it. The zero Pool is ready; make it a variable of the
// test package and let TestMain call Run. A shared server cannot be killed,
// stopped or paused.
type Pool struct {
	mu    sync.Mutex
	runs  bool
	dir   string
	kinds map[string]*sharing
}

// sharing is one kind in a pool, and its failure to start if it did.
type sharing struct {
	once   sync.Once
	server *Server
	err    error
}

// Run runs the tests, ends the servers, and returns the exit code.
func (p *Pool) Run(m interface{ Run() int }) int {
	dir, err := os.MkdirTemp("", "myelin-servers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make directory of shared servers:", err)
		return 1
	}
	p.dir, p.runs, p.kinds = dir, true, map[string]*sharing{}
	code := m.Run()
	if err := p.end(); err != nil {
		fmt.Fprintln(os.Stderr, "end shared servers:", err)
		return max(code, 1)
	}
	return code
}

func (p *Pool) end() error {
	var errs []error
	for _, k := range p.kinds {
		if k.server != nil {
			if err := k.server.vanished(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			errs = append(errs, k.server.close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}

// Kafka is a broker of its own quorum, as Kafka starts it.
func (p *Pool) Kafka(t T) *Server { t.Helper(); return p.get(t, kafka) }

// RabbitMQ is a node as RabbitMQ starts it.
func (p *Pool) RabbitMQ(t T) *Server { t.Helper(); return p.get(t, rabbitmq) }

// Mosquitto is a broker as Mosquitto starts it.
func (p *Pool) Mosquitto(t T) *Server { t.Helper(); return p.get(t, mosquitto) }

// Artemis is a broker as Artemis starts it.
func (p *Pool) Artemis(t T) *Server { t.Helper(); return p.get(t, artemis) }

// ElasticMQ is a service of queues as it starts.
func (p *Pool) ElasticMQ(t T) *Server { t.Helper(); return p.get(t, elasticmq) }

// Kinesis is a service of streams as it starts.
func (p *Pool) Kinesis(t T) *Server { t.Helper(); return p.get(t, kinesis) }

// NATS is a server as NATS starts it.
func (p *Pool) NATS(t T) *Server { t.Helper(); return p.get(t, nats) }

// Redis is a server as Redis starts it.
func (p *Pool) Redis(t T) *Server { t.Helper(); return p.get(t, redis) }

// Etcd is a member alone.
func (p *Pool) Etcd(t T) *Server { t.Helper(); return p.get(t, etcd) }

// Gofakes3 is a service of objects as it starts, with a bucket.
func (p *Pool) Gofakes3(t T) *Server { t.Helper(); return p.get(t, gofakes3) }

// Moto is a service of objects and of streams as it starts.
func (p *Pool) Moto(t T) *Server { t.Helper(); return p.get(t, moto) }

// Docker is an engine as it starts.
func (p *Pool) Docker(t T) *Server { t.Helper(); return p.get(t, docker) }

// DistantDocker is an engine that is Distant.
func (p *Pool) DistantDocker(t T) *Server { t.Helper(); return p.get(t, distantDocker) }

// Registry is a registry of images as it starts.
func (p *Pool) Registry(t T) *Server { t.Helper(); return p.get(t, registry) }

func (p *Pool) get(t T, k kind) *Server {
	t.Helper()
	p.mu.Lock()
	if !p.runs {
		p.mu.Unlock()
		t.Fatalf("TestMain has to call the Run of the servers.Pool")
	}
	s := p.kinds[k.name]
	if s == nil {
		s = &sharing{}
		p.kinds[k.name] = s
	}
	dir := p.dir
	p.mu.Unlock()
	s.once.Do(func() { s.server, s.err = share(k, dir) })
	if s.err != nil {
		t.Fatalf("start shared %s: %v", k.name, s.err)
	}
	said := s.server.logged()
	t.Cleanup(func() { s.server.tell(t, said) })
	return s.server
}

func share(k kind, dir string) (*Server, error) {
	own, err := os.MkdirTemp(dir, k.name+"-")
	if err != nil {
		return nil, err
	}
	s, err := prepare(k, own, options{})
	if err != nil {
		return nil, err
	}
	s.shared = true
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}
