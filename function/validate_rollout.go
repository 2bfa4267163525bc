package function

import (
	"fmt"
)

// maxSteps bounds the steps of a rollout.
const maxSteps = 50

// ParseRollout reads a rollout from YAML or JSON, as [Parse] reads a function.
func ParseRollout(name string, text []byte) (Rollout, error) {
	return parseObject(name, text, (*checker).rollout)
}

// ValidateRollout checks a complete rollout. Its errors are [document.Errors]
// without lines. Whether the function, its alias and its version are there it
// does not know.
func ValidateRollout(r Rollout) error {
	var c checker
	c.rollout(&r)
	if r.Metadata.Name == "" {
		c.Add("metadata.name", "is required: the name of the alias, such as prod")
	}
	if r.Spec.Function == "" {
		c.Add("spec.function", "is required")
	}
	if r.Spec.Version == "" {
		c.Add("spec.version", "is required: the number of a version, such as 2")
	}
	if len(r.Spec.Steps) == 0 {
		c.Add("spec.steps", "is required, such as a step of weight 5 with a pause of 1m, and one of weight 100")
	}
	return c.Err()
}

// rollout finds what is wrong in the fields that are set.
func (c *checker) rollout(r *Rollout) {
	c.word("apiVersion", r.APIVersion, []string{APIVersion})
	c.word("kind", r.Kind, []string{RolloutKind})
	c.metadata(&r.Metadata)
	c.aliasName("metadata.name", r.Metadata.Name)
	if r.Spec.Function != "" {
		c.label("spec.function", r.Spec.Function)
	}
	c.version("spec.version", r.Spec.Version)
	if r.Spec.Version == Latest {
		c.Add("spec.version", "is %s, which every deploy changes: publish a version first", Latest)
	}
	c.span("spec.readyTimeout", r.Spec.ReadyTimeout)
	c.steps(r.Spec.Steps)
	c.criteria(r.Spec.Criteria)
}

func (c *checker) steps(steps []RolloutStep) {
	if len(steps) > maxSteps {
		c.Add("spec.steps", "are %d, expected at most %d", len(steps), maxSteps)
		return
	}
	before := 0.0
	for i, s := range steps {
		path := fmt.Sprintf("spec.steps[%d]", i)
		switch {
		case !(s.Weight > 0 && s.Weight <= 100):
			c.Add(path+".weight", "is %s, expected more than 0 and at most 100", percent(s.Weight))
		case s.Weight <= before:
			c.Add(path+".weight", "is %s, expected more than %s, that of the step before", percent(s.Weight), percent(before))
		case i == len(steps)-1 && s.Weight != 100:
			c.Add(path+".weight", "is %s, expected 100 in the last step", percent(s.Weight))
		}
		c.span(path+".pause", s.Pause)
		before = s.Weight
	}
}

func (c *checker) criteria(k RolloutCriteria) {
	const path = "spec.criteria."
	if n := k.MinRequests; n != nil && *n < 0 {
		c.Add(path+"minRequests", "is %d, expected 0 or more", *n)
	}
	for name, rate := range map[string]*float64{"maxErrorRate": k.MaxErrorRate, "maxErrorRateIncrease": k.MaxErrorRateIncrease} {
		if rate != nil && !(*rate >= 0 && *rate <= 100) {
			c.Add(path+name, "is %s, expected 0 to 100 percent", percent(*rate))
		}
	}
	if f := k.MaxP99Factor; f != nil && !(*f >= 1 && *f <= 1000) {
		c.Add(path+"maxP99Factor", "is %s, expected 1 to 1000", percent(*f))
	}
	c.span(path+"p99Slack", k.P99Slack)
}
