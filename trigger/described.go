package trigger

import "github.com/myelin-run/myelin/asyncapi"

// Described is implemented by triggers that can say where their events come from,
// for who shall send some. Describe may be called before Run, or without it, and
// opens nothing. What it says has no user, no password and no key: it is shown to
// whoever may see the function. Nothing means that this one cannot say.
type Described interface {
	Describe() []asyncapi.Description
}
