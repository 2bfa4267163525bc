package main

import (
	"context"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// serveH2 answers "ok" by HTTP/2 without TLS, and by HTTP/1.1.
func serveH2(listen string) error {
	s := http.Server{Addr: listen, Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, max(r.ContentLength, 0))
		for n := 0; n < len(b); { // as whoever needs the body does
			m, err := r.Body.Read(b[n:])
			if n += m; err != nil {
				break
			}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok")) // the client sees it, or has gone
	})}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.ListenAndServe()
}

// serveGRPC answers the method that a gRPC trigger has with bytes "ok".
func serveGRPC(listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "myelin.v1.Function", Methods: []grpc.MethodDesc{{MethodName: "Call",
		Handler: func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &wrapperspb.BytesValue{}
			if err := read(in); err != nil {
				return nil, err
			}
			return wrapperspb.Bytes([]byte("ok")), nil
		}}}}, nil)
	return s.Serve(l)
}
