package function_test

import (
	"testing"

	"github.com/myelin-run/myelin/function"
)

func TestServedTrigger(t *testing.T) {
	http := function.Trigger{Kind: "http"}
	for want, triggers := range map[string]map[string]function.Trigger{
		"":             {"a": {Kind: "cron"}, "b": {Kind: "http", Disabled: true}},
		"b":            {"c": http, "b": http, "a": {Kind: "kafka"}},
		"default-http": {"a": http, "default-http": http},
	} {
		var c function.Config
		c.Spec.Triggers = triggers
		if got := c.ServedTrigger(); got != want {
			t.Errorf("%v: %q, want %q", triggers, got, want)
		}
	}
}
