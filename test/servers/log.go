package servers

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

const tailBytes = 8 << 10

// logged is how much the server has written so far.
func (s *Server) logged() int64 {
	info, err := os.Stat(s.log())
	if err != nil {
		return 0
	}
	return info.Size()
}

// tail is the end of what the server wrote after an offset, in whole lines.
func (s *Server) tail(after int64) string {
	f, err := os.Open(s.log())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	from := max(after, s.logged()-tailBytes)
	data, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return err.Error()
	}
	if from > after {
		if _, rest, found := bytes.Cut(data, []byte("\n")); found {
			data = rest
		}
	}
	return fmt.Sprintf("--- end of the log of %s ---\n%s", s.name, data)
}

// tell shows what the server said since an offset if the test failed.
func (s *Server) tell(t T, after int64) {
	if t.Failed() {
		t.Logf("%s", s.tail(after))
	}
}
