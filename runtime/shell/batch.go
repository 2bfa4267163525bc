package shell

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/exec"
)

// A form writes events for a command and reads its answers. check is the
// failure of an event that cannot be written; the command does not see it.
type form interface {
	check(ev *event.Event) error
	write(w *bufio.Writer, ev *event.Event)
	end() byte // after each answer
	read(answer []byte, in *instance, resp *event.Response) error
}

var forms = map[string]form{
	"lines": bodies{'\n', "a line break"},
	"nul":   bodies{0, "a zero byte"},
	"json":  objects{},
}

// MaxBatch implements [runtime.Batcher].
func (in *instance) MaxBatch() int {
	if in.cfg.Batch == "" {
		return 0
	}
	return math.MaxInt32
}

// InvokeBatch implements [runtime.Batcher].
func (in *instance) InvokeBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	var at []int
	var someEvs []*event.Event
	var someResps []*event.Response
	for k, err := range errs {
		if event.IsNotRun(err) {
			at, someEvs, someResps = append(at, k), append(someEvs, evs[k]), append(someResps, resps[k])
		}
	}
	someErrs := make([]error, len(at))
	in.runList(ctx, someEvs, someResps, someErrs)
	for n, k := range at {
		errs[k] = someErrs[n]
	}
}

// runList starts the command once and sets each of errs. A failure of the command
// is that of each event.
func (in *instance) runList(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	f := forms[in.cfg.Batch]
	var list []int
	r := run{in: in}
	for k, ev := range evs {
		if errs[k] = f.check(ev); errs[k] == nil {
			list, r.evs, r.resps = append(list, k), append(r.evs, ev), append(r.resps, resps[k])
		}
	}
	if len(list) == 0 {
		return
	}
	r.env = in.listEnv(r.evs)
	r.feed = func(stdin io.Writer) {
		w := bufio.NewWriterSize(stdin, 64<<10) // its errors stay; a program need not read its input
		for _, ev := range r.evs {
			f.write(w, ev)
		}
		_ = w.Flush()
	}
	err := r.with(ctx, nothing, in.args)
	var answers [][]byte
	if err == nil {
		answers, err = cut(r.out, f.end(), len(list))
	}
	for n, k := range list {
		if err == nil {
			in.succeed(resps[k])
			errs[k] = f.read(answers[n], in, resps[k])
		} else {
			errs[k] = err
		}
	}
}

// cut makes n answers of what a command printed. The last needs no end if it is
// not empty.
func cut(out []byte, end byte, n int) ([][]byte, error) {
	var answers [][]byte
	for len(out) > 0 {
		answer, rest, _ := bytes.Cut(out, []byte{end})
		answers, out = append(answers, answer), rest
	}
	if len(answers) != n {
		return nil, event.Errorf(http.StatusInternalServerError, "the command gave %d responses to %d events", len(answers), n)
	}
	return answers, nil
}

// listEnv describes a list to the program: what its events have in common.
func (in *instance) listEnv(evs []*event.Event) []string {
	src := evs[0].Source
	if src == nil {
		src = &event.Source{}
	}
	return []string{"MYELIN_BATCH=" + in.cfg.Batch, "MYELIN_BATCH_SIZE=" + strconv.Itoa(len(evs)), "NUCLIO_TRIGGER_CLASS=" + exec.NoNUL(src.Class),
		"NUCLIO_TRIGGER_KIND=" + exec.NoNUL(src.Kind), "NUCLIO_TRIGGER_NAME=" + exec.NoNUL(src.Name)}
}

// bodies are separated by a byte, and so are the answers.
type bodies struct {
	sep  byte
	name string
}

func (b bodies) check(ev *event.Event) error {
	if bytes.IndexByte(ev.Body, b.sep) >= 0 {
		return event.Permanent(event.Errorf(http.StatusBadRequest, "the body has %s, which ends an event of this function's lists", b.name))
	}
	return nil
}

func (b bodies) write(w *bufio.Writer, ev *event.Event) {
	_, _ = w.Write(ev.Body)
	_ = w.WriteByte(b.sep)
}

func (b bodies) end() byte { return b.sep }

func (b bodies) read(answer []byte, _ *instance, resp *event.Response) error {
	resp.Body = append(resp.Body, answer...)
	return nil
}
