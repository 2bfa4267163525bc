package artefact

import (
	"maps"

	"github.com/myelin-run/myelin/function"
)

// Portable returns the part of a configuration that an artefact carries: what
// the function is and what feeds it, without how many of it run where and
// without secrets. A change in anything else needs no build.
func Portable(cfg function.Config) function.Config {
	s := cfg.Spec
	out := function.Config{APIVersion: cfg.APIVersion, Kind: cfg.Kind}
	out.Metadata.Name, out.Metadata.Namespace = cfg.Metadata.Name, cfg.Metadata.Namespace
	out.Spec = function.Spec{
		Description: s.Description, Handler: s.Handler, Runtime: s.Runtime, RuntimeAttributes: s.RuntimeAttributes,
		Env: s.Env, Build: portableBuild(s.Build),
		Triggers: maps.Clone(s.Triggers), DataBindings: maps.Clone(s.DataBindings),
		DisableDefaultHTTPTrigger: s.DisableDefaultHTTPTrigger,
		EventTimeout:              s.EventTimeout, DrainTimeout: s.DrainTimeout,
		ReadinessTimeoutSeconds: s.ReadinessTimeoutSeconds, LoggerSinks: s.LoggerSinks,
	}
	for name, t := range out.Spec.Triggers {
		t.Password, t.Secret = "", ""
		out.Spec.Triggers[name] = t
	}
	for name, b := range out.Spec.DataBindings {
		b.Secret = ""
		out.Spec.DataBindings[name] = b
	}
	return out
}

// portableBuild leaves out where the sources came from, which may name
// credentials and changes nothing.
func portableBuild(b function.Build) function.Build {
	out := function.Build{Commands: b.Commands, Dependencies: b.Dependencies, Flags: b.Flags}
	out.RuntimeAttributes, out.Dockerfile = b.RuntimeAttributes, b.Dockerfile
	out.BaseImage, out.BaseImageRegistry, out.OnbuildImage, out.NoBaseImagesPull = b.BaseImage, b.BaseImageRegistry, b.OnbuildImage, b.NoBaseImagesPull
	out.Directives, out.Args = b.Directives, b.Args
	return out
}
