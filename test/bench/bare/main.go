// Command bare is what figures are measured against: a fasthttp server that
// answers "ok" and does nothing else, with -relay the least that a process
// between client and server can do, or with -wake the least that a worker can.
package main

import (
	"flag"
	"log"
	"net"

	"github.com/valyala/fasthttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	to := flag.String("relay", "", "pass what comes on to this address, instead of answering it")
	wakes := flag.Bool("wake", false, "wait for descriptor 3, an eventfd, and ring descriptor 4, until that fails")
	h2c := flag.Bool("h2c", false, "answer by net/http, also HTTP/2")
	rpc := flag.Bool("grpc", false, "answer by grpc-go")
	flag.Parse()
	switch {
	case *h2c:
		log.Fatal(serveH2(*listen))
	case *rpc:
		log.Fatal(serveGRPC(*listen))
	}
	if *wakes {
		log.Fatal(echo(3, 4))
	}
	if *to != "" {
		log.Fatal(relay(*listen, *to))
	}
	body := []byte("ok")
	s := fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBody(body)
	}}
	log.Fatal(s.ListenAndServe(*listen))
}

// relay serves until it cannot accept.
func relay(listen, to string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		in, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer out.Close()
			turns(in, out)
		}()
	}
}

// turns passes a request and an answer on in turn, each of which it takes to
// come in one piece: it parses nothing, and one goroutine does it all.
func turns(in, out net.Conn) {
	buf := make([]byte, 16<<10)
	for from, into := in, out; ; from, into = into, from {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := into.Write(buf[:n]); err != nil {
			return
		}
	}
}
