package binding

import "github.com/myelin-run/myelin/asyncapi"

// Described is implemented by bindings that send messages, and can say to where.
// Describe may be called before Open, or without it, and opens nothing. What it
// says has no user, no password and no key.
type Described interface {
	Describe() []asyncapi.Description
}

// AnyTopic is the address of a channel that the function names when it sends, and
// its parameters.
func AnyTopic(prefix string) asyncapi.Channel {
	return asyncapi.Channel{Address: prefix + "{topic}", Parameters: map[string]string{"topic": "Named by the function when it sends."}}
}
