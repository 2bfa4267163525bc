package function

import (
	"maps"
	"slices"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// RestoreSecrets puts old's secrets where cfg, which came back from somebody
// whom it was shown to, has only "***". It changes no map that cfg shares.
func RestoreSecrets(cfg *Config, old Config) {
	cfg.Spec.Triggers = maps.Clone(cfg.Spec.Triggers)
	for name, t := range cfg.Spec.Triggers {
		was := old.Spec.Triggers[name]
		restore(&t.Password, was.Password)
		restore(&t.Secret, was.Secret)
		cfg.Spec.Triggers[name] = t
	}
	cfg.Spec.DataBindings = maps.Clone(cfg.Spec.DataBindings)
	for name, b := range cfg.Spec.DataBindings {
		restore(&b.Secret, old.Spec.DataBindings[name].Secret)
		cfg.Spec.DataBindings[name] = b
	}
}

func restore(secret *quantity.Secret, was quantity.Secret) {
	if secret.Hidden() && was != "" {
		*secret = was
	}
}

// hiddenSecrets finds secrets that are not there, only their "***".
func (c *checker) hiddenSecrets(s *Spec) {
	for _, name := range slices.Sorted(maps.Keys(s.Triggers)) {
		path := document.Join("spec.triggers", name)
		c.notHidden(path+".password", s.Triggers[name].Password)
		c.notHidden(path+".secret", s.Triggers[name].Secret)
	}
	for _, name := range slices.Sorted(maps.Keys(s.DataBindings)) {
		c.notHidden(document.Join("spec.dataBindings", name)+".secret", s.DataBindings[name].Secret)
	}
}

func (c *checker) notHidden(path string, s quantity.Secret) {
	if s.Hidden() {
		c.Add(path, "is only *** as a secret is shown, give the secret itself")
	}
}
