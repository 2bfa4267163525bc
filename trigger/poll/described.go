package poll

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

// Describe implements [trigger.Described] for the sources that do.
func (e *Engine) Describe() []asyncapi.Description {
	if d, ok := e.src.(trigger.Described); ok {
		return d.Describe()
	}
	return nil
}
