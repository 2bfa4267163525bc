package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
)

// client of the control plane, for the namespace of the command line.
func (a *app) client() *client.Client { return a.clientFor(a.namespace) }

func (a *app) clientFor(namespace string) *client.Client {
	return client.New(a.apiURL(), namespace, a.web())
}

func (a *app) apiURL() string {
	if strings.Contains(a.api, "://") {
		return a.api
	}
	return "http://" + a.api
}

// asked gives an error of the client the exit code that it means.
func (a *app) asked(err error) error {
	var p *problem.Problem
	var u *url.Error
	var op *net.OpError
	switch {
	case err == nil || a.ctx.Err() != nil && errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &p):
		return refused(p)
	case errors.As(err, &op), errors.As(err, &u):
		return fail(exitUnreachable, fmt.Errorf("the control plane at %s is not reachable (%w)", a.api, cause(err)), "is myelin up running? start it with: myelin up")
	}
	return err
}

// cause is the innermost error, which says what without saying again where.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// refused is what the API answered, with the code that it means.
func refused(p *problem.Problem) error {
	switch p.Status {
	case http.StatusNotFound:
		return fail(exitNotFound, errors.New(strings.ReplaceAll(p.Detail, `"`, "")), "")
	case http.StatusConflict:
		return fail(exitConflict, p, "")
	case http.StatusUnauthorized:
		return fail(exitRefused, p, "give a token with: myelin login, or in "+envToken)
	case http.StatusForbidden:
		return fail(exitRefused, p, "")
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return fail(exitUsage, mistakes(p), "")
	}
	return fail(exitFailed, p, "")
}

// mistakes turns a problem with fields into the errors that it was made of.
func mistakes(p *problem.Problem) error {
	if len(p.Errors) == 0 {
		return p
	}
	var es document.Errors
	for _, f := range p.Errors {
		es = append(es, &document.Error{File: f.File, Line: f.Line, Column: f.Column, Path: f.Path, Msg: f.Detail})
	}
	return es
}

// buildMistake turns a problem of a build into the error that it was.
func buildMistake(err error, path string) error {
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status >= http.StatusInternalServerError {
		return err
	}
	if len(p.Errors) != 1 || p.Errors[0].Path != "" {
		return fail(exitBuild, place(mistakes(p), path), "")
	}
	f := p.Errors[0]
	wrong := &build.Error{File: f.File, Line: f.Line, Column: f.Column, Text: f.Text, Msg: f.Detail, Output: strings.Join(p.Logs, "\n")}
	return fail(exitBuild, place(wrong, path), "")
}

// serverVersion is "" if there is no control plane.
func (a *app) serverVersion() string {
	ctx, cancel := context.WithTimeout(a.ctx, time.Second)
	defer cancel()
	v, err := a.client().Version(ctx)
	if err != nil {
		return ""
	}
	return v
}

// completeFunctions completes the names of functions.
func (a *app) completeFunctions(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(a.ctx, time.Second)
	defer cancel()
	fs, err := a.client().Functions(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, f := range fs {
		names = append(names, f.Metadata.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeObjects completes kinds, and the names of objects of a kind.
func (a *app) completeObjects(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	k, _, said := a.about(args, false)
	if !said {
		words = a.kindNames()
	}
	ctx, cancel := context.WithTimeout(a.ctx, time.Second)
	defer cancel()
	all, err := a.list(ctx, a.client(), k, client.Selection{}, "")
	if err != nil {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	for _, o := range all {
		words = append(words, k.title(o))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
