// Package access says who may do what with the control plane: callers, their
// roles in projects, the tokens by which they are known, and the rights that
// operations need. It knows no HTTP route and no function.
package access

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/myelin-run/myelin/document"
)

// Role is what somebody may do in a project. Each includes the ones before it.
type Role int

// The roles.
const (
	Nobody    Role = iota
	Viewer         // sees functions, their state and their logs
	Developer      // deploys and calls functions, writes secrets, reads events
	Operator       // moves traffic, steers triggers, removes versions and letters
	Admin          // gives access to others and reads the audit log
)

var roleNames = []string{"nobody", "viewer", "developer", "operator", "admin"}

func (r Role) String() string {
	if r < Nobody || r > Admin {
		return fmt.Sprintf("role %d", int(r))
	}
	return roleNames[r]
}

// ParseRole reads a role's name.
func ParseRole(text string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if text == roleNames[r] {
			return r, nil
		}
	}
	return Nobody, fmt.Errorf("unknown role %q%s (known: %s)", text, document.DidYouMean(text, roleNames[1:]), strings.Join(roleNames[1:], ", "))
}

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the role's name.
func (r *Role) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRole(string(b))
	return err
}

// All stands for every namespace, or every project of one.
const All = "*"

// Grant gives a role in a project of a namespace.
type Grant struct {
	// Namespace, or * for all.
	Namespace string `json:"namespace"`
	// Project of the namespace, or * for all.
	Project string `json:"project"`
	// Role there.
	Role Role `json:"role"`
}

// String writes what [ParseGrant] reads.
func (g Grant) String() string { return g.Namespace + "/" + g.Project + ":" + g.Role.String() }

// ParseGrant reads "role", which is for everything, "project:role", which is
// for a project of the namespace ns, or "namespace/project:role". Namespace and
// project may be "*".
func ParseGrant(text, ns string) (Grant, error) {
	where, role, ok := strings.Cut(text, ":")
	g := Grant{Namespace: ns, Project: where}
	if !ok {
		role, g = text, Grant{Namespace: All, Project: All}
	} else if space, project, two := strings.Cut(where, "/"); two {
		g.Namespace, g.Project = space, project
	}
	var err error
	if g.Role, err = ParseRole(role); err != nil {
		return g, err
	}
	return g, g.Check()
}

var word = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Check tells what is wrong with a grant.
func (g Grant) Check() error {
	switch {
	case g.Namespace != All && !word.MatchString(g.Namespace):
		return fmt.Errorf("namespace %q of a grant: want the name of one, or *", g.Namespace)
	case g.Project != All && !word.MatchString(g.Project):
		return fmt.Errorf("project %q of a grant: want the name of one, or *", g.Project)
	case g.Namespace == All && g.Project != All:
		return fmt.Errorf("project %q of a grant: say of which namespace", g.Project)
	case g.Role < Viewer || g.Role > Admin:
		return fmt.Errorf("a grant without a role")
	}
	return nil
}

// covers tells whether g is about a project; All: about every one of them.
func (g Grant) covers(namespace, project string) bool {
	return (g.Namespace == All || g.Namespace == namespace) && (g.Project == All || g.Project == project)
}

// Kinds of callers.
const (
	ByToken = "token"
	ByOIDC  = "oidc"
	ByNone  = "none" // nobody was asked who they are
)

// Caller is who asks for something.
type Caller struct {
	// Subject is the name of the token, or the issuer's subject.
	Subject string `json:"subject"`
	// By what they are known: token, oidc or none.
	By string `json:"by"`
	// ID of the token.
	ID string `json:"id,omitempty"`
	// Grants are the roles that they have, and where.
	Grants []Grant `json:"grants"`
}

// Local is the caller of a control plane that asks nobody who they are.
func Local() Caller {
	return Caller{Subject: "anonymous", By: ByNone, Grants: []Grant{{All, All, Admin}}}
}

// Role is the greatest one that c has in a project of a namespace. All in
// place of either: in every one, also those that do not exist yet.
func (c Caller) Role(namespace, project string) Role {
	best := Nobody
	for _, g := range c.Grants {
		if g.covers(namespace, project) {
			best = max(best, g.Role)
		}
	}
	return best
}

// Sees tells whether c may know what is in a project.
func (c Caller) Sees(namespace, project string) bool { return c.Role(namespace, project) >= Viewer }

// Most is the greatest role that c has in any project of a namespace; All: of
// any namespace.
func (c Caller) Most(namespace string) Role {
	best := Nobody
	for _, g := range c.Grants {
		if namespace == All || g.Namespace == All || g.Namespace == namespace {
			best = max(best, g.Role)
		}
	}
	return best
}

// Covers tells whether c may give g to another: nobody gives more than they have.
func (c Caller) Covers(g Grant) bool { return c.Role(g.Namespace, g.Project) >= max(g.Role, Admin) }

type callerKey struct{}

// With returns a context that carries c.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of a request. Without one it is nobody, who may do
// and sees nothing.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
