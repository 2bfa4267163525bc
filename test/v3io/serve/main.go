// Command serve runs the server of test/v3io, with one stream, until it is
// interrupted: for trying things out without a platform. It keeps nothing.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/myelin-run/myelin/test/v3io"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "where to serve")
	key := flag.String("key", "e8bd4ca2-537b-4175-bf01-8c74963e90bf", "the access key")
	stream := flag.String("stream", "projects/readings", "container/path of the stream")
	shards := flag.Int("shards", 4, "how many it has")
	flag.Parse()
	if err := serve(*addr, *key, *stream, *shards); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(addr, key, stream string, shards int) error {
	if shards < 1 {
		return fmt.Errorf("shards: is %d, expected at least 1", shards)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	s, err := v3io.New(addr, key)
	if err != nil {
		return err
	}
	defer s.Kill()
	s.Create(stream, shards)
	fmt.Println(s.URL())
	<-end
	return nil
}
