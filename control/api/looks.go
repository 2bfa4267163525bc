package api

// LooksSecret tells whether a field of attributes is hidden in answers, by its
// name: attributes are not typed there.
func LooksSecret(name string) bool { return secretName.MatchString(name) }
