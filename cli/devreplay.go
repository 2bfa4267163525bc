package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/dev"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger/letter"
)

const devKeys = "r and Enter: run the last event again; r 3: the third last; l: list them"

// wishes reads what is typed while a function is served.
func (a *app) wishes() <-chan dev.Wish {
	out := make(chan dev.Wish)
	if a.term.InTTY {
		// In the background a read fails then, instead of stopping the program.
		signal.Ignore(syscall.SIGTTIN)
	}
	go func() {
		for lines := bufio.NewScanner(a.term.In); lines.Scan(); {
			w, ok := wish(lines.Text())
			if !ok {
				fmt.Fprintln(a.term.Err, devKeys)
				continue
			}
			select {
			case out <- w:
			case <-a.ctx.Done():
				return
			}
		}
	}()
	return out
}

// wish is what a line says.
func wish(line string) (dev.Wish, bool) {
	words := strings.Fields(line)
	switch {
	case len(words) == 1 && words[0] == "l":
		return 0, true
	case len(words) == 1 && words[0] == "r":
		return 1, true
	case len(words) == 2 && words[0] == "r":
		n, err := strconv.Atoi(words[1])
		return dev.Wish(n), err == nil && n > 0
	}
	return 0, false
}

func (s *devScreen) Recalled(events []tap.Event) {
	if len(events) == 0 {
		s.say(terminal.Blue, "-", "no event came yet")
	}
	for i, e := range events {
		s.say(terminal.Blue, "-", "%2d  %s", len(events)-i, told(e))
	}
}

// told is one event in a line.
func told(e tap.Event) string {
	return fmt.Sprintf("%s %d %s %s %s %.1f ms %s", e.At.Local().Format("15:04:05"), e.Status, word(e.Trigger), e.Kind, word(whence(e)), e.Ms, cut(strconv.Quote(string(e.Event.Body)), 60))
}

func (s *devScreen) Replayed(e tap.Event, out letter.Outcome, err error) {
	if err != nil {
		s.say(terminal.Yellow, "!", "nothing was run again: %v", err)
		return
	}
	style := terminal.Green
	if out.Error != "" {
		style = terminal.Red
	}
	s.say(style, "r", "%s %s: %d %s in %.1f ms", word(e.Trigger), word(whence(e)), out.Status, http.StatusText(out.Status), out.Ms)
	switch {
	case out.Error != "":
		s.say(terminal.Dim, " ", "%s", cut(word(out.Error), 1000))
	case out.Answer != nil && len(out.Answer.Body) > 0:
		s.say(terminal.Dim, " ", "%s", cut(word(string(out.Answer.Body)), 1000))
	}
}
