package cron

import (
	"fmt"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*Trigger)(nil)

// Describe implements [trigger.Described]: time is on no server.
func (t *Trigger) Describe() []asyncapi.Description {
	c := asyncapi.Channel{About: "Every " + t.cfg.Interval.Std().String() + ".", Message: asyncapi.Message{About: "Made of the trigger's own event."}}
	if t.cfg.Schedule != "" {
		zone := t.cfg.Timezone
		if zone == "" {
			zone = "UTC"
		}
		c.About = fmt.Sprintf("On the schedule %s, %s.", t.cfg.Schedule, zone)
	}
	return []asyncapi.Description{{Servers: []asyncapi.Server{asyncapi.Local("cron")}, Channels: []asyncapi.Channel{c}}}
}
