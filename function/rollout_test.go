package function

import (
	"strings"
	"testing"
	"time"
)

func TestParseRollout(t *testing.T) {
	r, err := ParseRollout("rollout.yaml", []byte(`apiVersion: myelin.run/v1
kind: Rollout
metadata: {name: prod}
spec:
  function: hello
  version: 2
  steps: [{weight: 5, pause: 1m}, {weight: 100}]
  criteria: {maxErrorRate: 0, maxP99Factor: 1.5}
status: {state: succeeded}
`))
	if err != nil {
		t.Fatal(err)
	}
	RolloutDefaults(&r)
	if err := ValidateRollout(r); err != nil {
		t.Fatal(err)
	}
	s := r.Spec
	if s.Version != "2" || s.Steps[0].Pause.Std() != time.Minute || *s.Criteria.MaxErrorRate != 0 || *s.Criteria.MinRequests != 100 || s.Criteria.MaxErrorRateIncrease != nil || r.Status.State != "" {
		t.Errorf("%+v", r)
	}
}

func TestRolloutMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"spec: {steps: [{wait: 1m}]}":                                  "unknown field spec.steps[0].wait",
		"metadata: {name: \"3\"}":                                      `metadata.name: "3" is a number`,
		"spec: {version: two}":                                         `spec.version: "two" is not a version`,
		"spec: {version: $latest}":                                     "spec.version: is $latest, which every deploy changes",
		"spec: {steps: [{weight: 0}, {weight: 100}]}":                  "spec.steps[0].weight: is 0, expected more than 0",
		"spec: {steps: [{weight: 101}]}":                               "spec.steps[0].weight: is 101",
		"spec: {steps: [{weight: 5}, {weight: 5}]}":                    "spec.steps[1].weight: is 5, expected more than 5",
		"spec: {steps: [{weight: 50}, {weight: 60}]}":                  "spec.steps[1].weight: is 60, expected 100 in the last step",
		"spec: {steps: [{weight: 100, pause: -1s}]}":                   "spec.steps[0].pause: is -1s",
		"spec: {readyTimeout: -1s}":                                    "spec.readyTimeout: is -1s",
		"spec: {criteria: {maxErrorRate: 101}}":                        "spec.criteria.maxErrorRate: is 101, expected 0 to 100 percent",
		"spec: {criteria: {maxErrorRateIncrease: -1}}":                 "spec.criteria.maxErrorRateIncrease: is -1",
		"spec: {criteria: {maxP99Factor: 0.5}}":                        "spec.criteria.maxP99Factor: is 0.5, expected 1 to 1000",
		"spec: {criteria: {minRequests: -1}}":                          "spec.criteria.minRequests: is -1",
		"spec: {criteria: {p99Slack: -1ms}}":                           "spec.criteria.p99Slack: is -1ms",
		"spec: {steps: [" + strings.Repeat("{weight: 1}, ", 51) + "]}": "spec.steps: are 51, expected at most 50",
	} {
		_, err := ParseRollout("r", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, want := range []string{"metadata.name: is required", "spec.function: is required", "spec.version: is required", "spec.steps: is required"} {
		if err := ValidateRollout(Rollout{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
