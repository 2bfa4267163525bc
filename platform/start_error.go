package platform

import (
	"strings"

	"github.com/myelin-run/myelin/logline"
)

// StartError is why replicas of a deployment did not get ready.
type StartError struct {
	Replica string
	Reason  string   // "exit code 1", "not ready within 10s"
	Log     []string // the last lines that it logged or printed
}

func (e *StartError) Error() string {
	text := "replica " + e.Replica + ": " + e.Reason
	if last := LastWord(e.Log); last != "" {
		text += ": " + last
	}
	return text
}

// lastWordLength bounds what of a log stands in a message.
const lastWordLength = 200

// LastWord is the last line of a log that says something, without the time and
// the fields around it: for a status, where the log itself is too much.
func LastWord(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		line := logline.Parse(log[i])
		word := strings.TrimSpace(line.Message)
		if why := field(line, "error"); why != "" {
			word += ": " + why
		}
		lines := strings.Split(strings.TrimSpace(word), "\n")
		if word = strings.TrimSpace(lines[len(lines)-1]); word == "" {
			continue
		}
		if len(word) > lastWordLength {
			word = strings.ToValidUTF8(word[:lastWordLength], "") + "..."
		}
		return word
	}
	return ""
}

func field(l logline.Line, name string) string {
	for _, f := range l.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}
