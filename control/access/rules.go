package access

// Scope says where a right is needed.
type Scope int

// The scopes.
const (
	InProject    Scope = iota // in the project that the request is about
	InAll                     // in all projects
	Known                     // nowhere: it is enough to be known
	Unrestricted              // nor that
)

// Rule says who may do an operation.
type Rule struct {
	Least Role
	Scope Scope
	// Reads is set for operations that change nothing: they are not audited
	// unless they are refused.
	Reads bool
}

// Rules is the table of operations and the least role of each, which nobody
// changes. What is not in it nobody may do.
func Rules() map[string]Rule { return rules }

var rules = map[string]Rule{
	"server.health":  {Nobody, Unrestricted, true},
	"server.version": {Nobody, Known, true},
	"server.metrics": {Viewer, InAll, true},
	"self.read":      {Nobody, Known, true}, // who am I
	"self.signin":    {Nobody, Unrestricted, false},
	"api.describe":   {Nobody, Unrestricted, true},

	"functions.read":   {Viewer, InProject, true},
	"functions.write":  {Developer, InProject, false},
	"functions.delete": {Developer, InProject, false},
	"functions.invoke": {Developer, InProject, false},
	"sources.read":     {Developer, InProject, true}, // what somebody wrote into code
	"builds.run":       {Developer, InProject, false},
	"logs.read":        {Viewer, InProject, true},
	"bindings.read":    {Viewer, InProject, true},
	"triggers.read":    {Viewer, InProject, true},
	"triggers.steer":   {Operator, InProject, false},

	"letters.list":    {Viewer, InProject, true},
	"letters.read":    {Developer, InProject, true}, // events' bodies
	"letters.redrive": {Developer, InProject, false},
	"letters.delete":  {Operator, InProject, false},

	"captures.list":   {Viewer, InProject, true},
	"captures.read":   {Developer, InProject, true}, // events' bodies
	"captures.write":  {Developer, InProject, false},
	"captures.replay": {Developer, InProject, false},

	"versions.read":    {Viewer, InProject, true},
	"versions.publish": {Developer, InProject, false},
	"versions.delete":  {Operator, InProject, false},
	"aliases.read":     {Viewer, InProject, true},
	"aliases.write":    {Operator, InProject, false},
	"aliases.delete":   {Operator, InProject, false},
	"rollouts.read":    {Viewer, InProject, true},
	"rollouts.write":   {Operator, InProject, false},
	"jobs.read":        {Viewer, InProject, true},
	"jobs.items":       {Developer, InProject, true}, // events' bodies
	"jobs.write":       {Developer, InProject, false},
	"mappings.read":    {Viewer, InProject, true},
	"mappings.write":   {Developer, InProject, false},
	"mappings.delete":  {Developer, InProject, false},

	"projects.read":   {Viewer, InProject, true},
	"projects.write":  {Admin, InProject, false}, // of all of the namespace
	"projects.delete": {Admin, InProject, false},
	"objects.export":  {Viewer, InProject, true},
	"objects.import":  {Developer, InProject, false},

	"secrets.reveal": {Admin, InProject, false},
	"secrets.list":   {Viewer, InProject, true}, // names, never values
	"secrets.write":  {Developer, InProject, false},
	"secrets.delete": {Developer, InProject, false},

	"tokens.list":   {Admin, InProject, true},
	"tokens.create": {Admin, InProject, false},
	"tokens.revoke": {Admin, InProject, false},
	"audit.read":    {Admin, InAll, true},
	"keys.rotate":   {Admin, InAll, false},
}

// Allows tells whether c may do what the rule is about in a project.
func (r Rule) Allows(c Caller, namespace, project string) bool {
	switch r.Scope {
	case Unrestricted:
		return true
	case Known:
		return c.By != ""
	case InAll:
		return r.Least > Nobody && c.Role(All, All) >= r.Least
	}
	return r.Least > Nobody && c.Role(namespace, project) >= r.Least
}

// Anywhere tells whether c may do it in some project of a namespace.
func (r Rule) Anywhere(c Caller, namespace string) bool {
	return r.Scope == InProject && r.Least > Nobody && c.Most(namespace) >= r.Least
}
