package mqtt

import (
	"fmt"
	"strings"

	"github.com/myelin-run/myelin/trigger/mqtt/link"
)

// sharePrefix begins the filters of shared subscriptions.
const sharePrefix = "$share/"

// checkFilter finds wildcards at the wrong place.
func checkFilter(f string) error {
	if err := link.CheckName(f); err != nil {
		return err
	}
	levels := strings.Split(f, "/")
	for i, l := range levels {
		switch {
		case strings.Contains(l, "#") && (l != "#" || i < len(levels)-1):
			return fmt.Errorf("%q: # stands alone, at the end", f)
		case strings.Contains(l, "+") && l != "+":
			return fmt.Errorf("%q: + stands alone between slashes", f)
		}
	}
	return nil
}

// matches reports whether a filter selects a topic.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		f, moreFilter, deeper := strings.Cut(filter, "/")
		t, moreTopic, longer := strings.Cut(topic, "/")
		switch {
		case f == "#":
			return true
		case f != "+" && f != t:
			return false
		case !longer:
			return !deeper || moreFilter == "#"
		case !deeper:
			return false
		}
		filter, topic = moreFilter, moreTopic
	}
}

// shared is a filter as a group subscribes to it.
func shared(group, topic string) string {
	if group == "" {
		return topic
	}
	return sharePrefix + group + "/" + topic
}

// filters are the subscriptions as they are asked for.
func (c *Config) filters() []link.Filter {
	fs := make([]link.Filter, len(c.Subscriptions))
	for i, s := range c.Subscriptions {
		fs[i] = link.Filter{Topic: shared(c.Group, s.Topic), QoS: byte(s.QoS), NoRetained: s.NoRetained}
	}
	return fs
}
