package servers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// dial connects to a server within the deadline of the context, which ends the
// connection too.
type dial func(context.Context) (net.Conn, error)

// plainly connects without TLS: some servers speak before it.
func (s *Server) plainly(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return conn, conn.SetDeadline(deadline)
}

// dial connects as a client does.
func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	conn, err := s.plainly(ctx)
	if err == nil && s.TLS != nil {
		conn = tls.Client(conn, s.TLS)
	}
	return conn, err
}

// answers says a question and looks for the beginning of the answer.
func (s *Server) answers(dial dial, question string, answers ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(question)); err != nil {
			return err
		}
		buf := make([]byte, 64)
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		for _, a := range answers {
			if n >= len(a) && string(buf[:len(a)]) == a {
				return nil
			}
		}
		return fmt.Errorf("it answers %q", buf[:n])
	}
}
