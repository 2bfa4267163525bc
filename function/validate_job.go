package function

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxJobAttempts = 100
	maxJobSource   = 1000
)

// ValidateJob checks a complete job. Its errors are [document.Errors] without
// lines. Whether the function is there it does not know.
func ValidateJob(j Job) error {
	var c checker
	c.job(&j)
	if j.Metadata.Name == "" {
		c.Add("metadata.name", "is required, such as nightly")
	}
	if j.Spec.Function == "" {
		c.Add("spec.function", "is required")
	}
	return c.Err()
}

func (c *checker) job(j *Job) {
	c.word("apiVersion", j.APIVersion, []string{APIVersion})
	c.word("kind", j.Kind, []string{JobKind})
	c.metadata(&j.Metadata)
	s := j.Spec
	if s.Function != "" {
		c.label("spec.function", s.Function)
	}
	if s.Alias != "" {
		c.label("spec.alias", s.Alias)
		c.aliasName("spec.alias", s.Alias)
	}
	c.version("spec.version", s.Version)
	if s.Alias != "" && s.Version != "" {
		c.Add("spec.version", "is %s, and the alias %s: say one of them", s.Version, s.Alias)
	}
	if len(s.Source) > maxJobSource || !utf8.ValidString(s.Source) {
		c.Add("spec.source", "is no text of at most %d bytes", maxJobSource)
	}
	c.amount("spec.parallel", s.Parallel, MaxJobParallel)
	c.amount("spec.retry.attempts", s.Retry.Attempts, maxJobAttempts)
	c.span("spec.timeout", s.Timeout)
	c.span("spec.retry.backoff", s.Retry.Backoff)
	c.span("spec.retry.maxBackoff", s.Retry.MaxBackoff)
	if s.Retry.MaxBackoff > 0 && s.Retry.MaxBackoff < s.Retry.Backoff {
		c.Add("spec.retry.maxBackoff", "is %s, less than backoff (%s)", s.Retry.MaxBackoff, s.Retry.Backoff)
	}
}

func (c *checker) amount(path string, n, most int) {
	if n < 0 || n > most {
		c.Add(path, "is %d, expected 1 to %d", n, most)
	}
}

// CheckJobItem says why text cannot be an item of a job.
func CheckJobItem(text string) error {
	switch {
	case text == "":
		return fmt.Errorf("it is empty")
	case len(text) > MaxJobItem:
		return fmt.Errorf("it has %d bytes, and an item at most %d: put what is larger into files or objects, and let items be their names", len(text), MaxJobItem)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return fmt.Errorf("%.40q is not UTF-8 text", text)
	}
	return nil
}
