package dockerfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/myelin-run/myelin/build"
)

// story is what an engine tells while it builds.
type story struct {
	shown map[int]string // the steps that count; nil if all do, as the engine calls them
	log   io.Writer

	id      string
	step    string // that which runs, with its number; "" before the first
	part    string // of a line that has not ended
	printed []string
}

// How much of what a step printed is kept for the error.
const (
	mostLines  = 25
	mostOfLine = 400
)

// told is one message of an engine.
type told struct {
	Stream string `json:"stream"`
	Status string `json:"status"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"errorDetail"`
	Aux struct {
		ID string `json:"ID"`
	} `json:"aux"`
}

// follow reads to the end, and returns the image that was made.
func (s *story) follow(from io.Reader) (string, error) {
	for said := json.NewDecoder(from); ; {
		var t told
		err := said.Decode(&t)
		switch {
		case errors.Is(err, io.EOF) && s.id != "":
			return s.id, nil
		case errors.Is(err, io.EOF):
			return "", errNoImage
		case err != nil:
			return "", fmt.Errorf("%sthe Docker engine went away: %w", s.at(": "), err)
		case t.Error != nil:
			return "", s.failed(t.Error.Code, t.Error.Message)
		case t.Aux.ID != "":
			s.id = t.Aux.ID
		}
		s.hear(t.Stream)
	}
}

// hear takes what was printed, which does not come in lines.
func (s *story) hear(text string) {
	s.part += text
	for {
		line, rest, whole := strings.Cut(s.part, "\n")
		if !whole && len(s.part) < 4*mostOfLine {
			return
		}
		s.part = rest
		s.line(strings.TrimRight(line, "\r"))
	}
}

// begun is how an engine begins a step.
var begun = regexp.MustCompile(`^Step (\d+)/(\d+) : (.*)$`)

// arrow begins what the engine itself says of a step.
const arrow = " ---> "

// colour is what an engine puts around what goes to stderr, and programs around
// anything.
var colour = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

func (s *story) line(line string) {
	line = strings.Map(printable, colour.ReplaceAllString(line, ""))
	if m := begun.FindStringSubmatch(line); m != nil {
		s.begin(m[1], m[2], m[3])
		return
	}
	if note, own := strings.CutPrefix(line, arrow); own {
		if note == "Using cache" && s.step != "" {
			fmt.Fprintf(s.log, "%s was done before\n", s.step)
		}
		return
	}
	if line == "" || strings.HasPrefix(line, "Removing intermediate container ") || strings.HasPrefix(line, "Successfully ") {
		return
	}
	if len(line) > mostOfLine {
		line = strings.ToValidUTF8(line[:mostOfLine], "") + "..."
	}
	s.printed = append(s.printed, line)
	if len(s.printed) > mostLines {
		s.printed = s.printed[1:]
	}
	fmt.Fprintf(s.log, "  %s\n", line)
}

// printable leaves out what would move a terminal's cursor.
func printable(c rune) rune {
	if c == '\t' || !unicode.IsControl(c) {
		return c
	}
	return -1
}

// begin notes a step, unless it is none of the author's.
func (s *story) begin(number, of, text string) {
	s.step, s.printed = "", nil
	n, _ := strconv.Atoi(number)
	if s.shown == nil {
		if total, _ := strconv.Atoi(of); n < total { // the last one is our label
			s.step = fmt.Sprintf("step %d of %d, %s,", n, total-1, text)
		}
	} else if text, own := s.shown[n]; own {
		before := 0
		for other := range s.shown {
			if other < n {
				before++
			}
		}
		s.step = fmt.Sprintf("step %d of %d, %s,", before+1, len(s.shown), brief(text))
	}
	if s.step != "" {
		fmt.Fprintln(s.log, strings.TrimSuffix(s.step, ","))
	}
}

// brief is a command as it fits into a sentence.
func brief(text string) string {
	first, _, more := strings.Cut(text, "\n")
	if len(first) > mostOfLine {
		first, more = strings.ToValidUTF8(first[:mostOfLine], ""), true
	}
	if more {
		return first + " ..."
	}
	return first
}

// at says which step it was.
func (s *story) at(end string) string {
	if s.step == "" {
		return ""
	}
	return strings.TrimSuffix(s.step, ",") + end
}

// failed is the error of a step.
func (s *story) failed(code int, message string) error {
	if s.part != "" {
		s.line(s.part)
	}
	output := strings.Join(s.printed, "\n")
	switch {
	case full(message):
		return fmt.Errorf("%sthe disk of the Docker engine is full: %s", s.at(": "), message)
	case code != 0:
		return &build.Error{Msg: fmt.Sprintf("%s ended with exit code %d", s.step, code), Output: output}
	}
	return &build.Error{Msg: s.at(" ") + "failed: " + message, Output: output}
}

// stopped is the error of a build that was ended. Somebody who stopped it knows why.
func (s *story) stopped(why error) error {
	if s.step == "" || errors.Is(why, context.Canceled) {
		return why
	}
	return &build.Error{Msg: fmt.Sprintf("%s was stopped: %v", s.step, why), Output: strings.Join(s.printed, "\n")}
}
