package relay

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Log files are rotated as processors do it.
const logMiB, logFiles = 64, 3

// follow brings what the container prints, until it has ended and all is here. After
// an absence of the engine it goes on where it was.
func (r *relay) follow() {
	out := &stamped{to: &lumberjack.Logger{Filename: r.Function, MaxSize: logMiB, MaxBackups: logFiles}}
	errs := &stamped{to: &lumberjack.Logger{Filename: r.Processor, MaxSize: logMiB, MaxBackups: logFiles}}
	defer out.to.Close()
	defer errs.to.Close()
	for since := ""; ; {
		ended := r.over.Err() != nil
		if r.fetch(since, out, errs) == nil && ended {
			return
		}
		out.mark, errs.mark = out.last, errs.last
		since = max(out.last, errs.last)
		if out.last != "" && errs.last != "" {
			since = min(out.last, errs.last)
		}
		select {
		case <-r.over.Done():
			if ended {
				<-time.After(retryEvery)
			}
		case <-time.After(retryEvery):
		}
	}
}

// fetch reads from a moment on, to the end of the container or of the connection.
func (r *relay) fetch(since string, out, errs io.Writer) error {
	from, err := r.engine.ContainerLogs(context.Background(), r.Container, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: r.over.Err() == nil, Since: since})
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = stdcopy.StdCopy(out, errs, from)
	return err
}

// stamped writes entries that have their time in front, but for those that are not
// newer than the mark: they were there before. Engines give each entry in one piece, and
// times of one length that sort as text.
type stamped struct {
	to         io.WriteCloser
	last, mark string
}

func (s *stamped) Write(b []byte) (int, error) {
	at, text, found := bytes.Cut(b, []byte(" "))
	if !found || string(at) <= s.mark {
		return len(b), nil
	}
	if _, err := s.to.Write(text); err != nil {
		return 0, err
	}
	s.last = string(at)
	return len(b), nil
}
