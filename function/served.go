package function

// ServedTrigger names the trigger that gets the function's address, where a platform
// gives it one: the default one or else the first HTTP trigger by name, "" if there is
// none.
func (c Config) ServedTrigger() string {
	first := ""
	for name, t := range c.Spec.Triggers {
		switch {
		case t.Kind != "http" || t.Disabled:
		case name == DefaultHTTPTrigger:
			return name
		case first == "" || name < first:
			first = name
		}
	}
	return first
}
