package nuclio

import "errors"

// Platform is what a function may ask of where it runs.
type Platform struct {
	// Call sends an event to another function; the host sets it.
	Call func(function string, ev Event) (Response, error)
	// Settle ends an event that was left open; the host sets it.
	Settle func(o QualifiedOffset, err error) error
}

// CallFunction calls another function and waits for its answer.
func (p *Platform) CallFunction(name string, ev Event) (Response, error) {
	if p == nil || p.Call == nil {
		return Response{}, errors.New("call function: no processor runs this function")
	}
	return p.Call(name, ev)
}

// NoAckHeader in a response says that the event is acknowledged later.
const NoAckHeader = "X-Nuclio-Stream-No-Ack"

// QualifiedOffset is the place of an event. It may be kept.
type QualifiedOffset struct {
	Trigger, Topic    string
	Partition, Offset int
}

// QualifiedOffsetOf returns the place of ev.
func QualifiedOffsetOf(ev Event) QualifiedOffset {
	o := QualifiedOffset{Topic: ev.GetTopic(), Partition: max(ev.GetShardID(), 0), Offset: ev.GetOffset()}
	if t := ev.GetTriggerInfo(); t != nil {
		o.Trigger = t.GetName()
	}
	return o
}

// ExplicitAck acknowledges an event whose response had NoAckHeader, or whose
// trigger has the explicitAckMode explicitOnly.
func (p *Platform) ExplicitAck(o QualifiedOffset) error { return p.settle(o, nil) }

// ExplicitNack says that such an event failed.
func (p *Platform) ExplicitNack(o QualifiedOffset, err error) error {
	if err == nil {
		err = errors.New("the function did not acknowledge the event")
	}
	return p.settle(o, err)
}

func (p *Platform) settle(o QualifiedOffset, err error) error {
	if p == nil || p.Settle == nil {
		return errors.New("settle event: no processor runs this function")
	}
	return p.Settle(o, err)
}
