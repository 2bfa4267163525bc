package quantity

import "strings"

// SecretReference begins a text that stands for a secret: "$secret:NAME".
const SecretReference = "$secret:"

// ReferredSecret returns the name in a text that refers to a secret and is
// nothing besides.
func ReferredSecret(text string) (name string, ok bool) {
	name, ok = strings.CutPrefix(text, SecretReference)
	odd := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }
	return name, ok && name != "" && len(name) <= 63 && strings.IndexFunc(name, odd) < 0
}
