// Package servers starts the real servers that tests, chaos and benchmarks
// talk to: Kafka, RabbitMQ, Mosquitto, Artemis, NATS, Redis, PostgreSQL,
// MariaDB, Dovecot, Docker, registries and Kubernetes. Each listens on loopback
// on ports of its own, keeps its data under a directory of its own, can be
// killed, stopped, paused and started again where it was, and dies with the
// process that started it, however that ends. The product must not import this
// package, and it knows nothing of the product.
//
// A test that only uses a server shares one with the other tests of its binary,
// in topics, queues and keys of its own:
//
//	var shared servers.Pool
//
//	func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }
//
//	func TestTake(t *testing.T) { addr := shared.Kafka(t).Addr; ... }
//
// A test that kills one has it alone:
//
//	func TestSurvive(t *testing.T) { k := servers.Kafka(t); ...; k.Kill(); k.Start() }
//
// A server that is not installed fails the test; scripts/servers.sh installs
// all of them. A test that looks for leaked goroutines does so with
// goleak.IgnoreCurrent once its servers run: one goroutine waits for each.
package servers
