package api

// subject is whose project decides whether a caller may do something.
type subject string

const (
	// collection: what is in it is shown and taken by the handler, object by
	// object, as the caller's roles allow.
	collection     subject = "collection"
	oneFunction    subject = "function" // that {function}, or else {name}, of the path names
	oneProject     subject = "project"  // likewise
	wholeNamespace subject = "namespace"
)

// right is what a route asks for.
type right struct {
	operation string // of access.Rules
	of        subject
	creates   bool  // the object need not be there
	body      int64 // most bytes of the request: 0 for an object, -1 for what the handler says
}

// rights is the table of routes. A route that is not in it nobody may use once
// callers are asked who they are; a test compares it with the routes.
var rights = map[string]right{
	"GET /api/v1/functions":           {operation: "functions.read", of: collection},
	"POST /api/v1/functions":          {operation: "functions.write", of: collection},
	"GET /api/v1/functions/{name}":    {operation: "functions.read", of: oneFunction},
	"PUT /api/v1/functions/{name}":    {operation: "functions.write", of: oneFunction, creates: true},
	"PATCH /api/v1/functions/{name}":  {operation: "functions.write", of: oneFunction, creates: true},
	"DELETE /api/v1/functions/{name}": {operation: "functions.delete", of: oneFunction},

	"GET /api/v1/functions/{name}/logs":                       {operation: "logs.read", of: oneFunction},
	"GET /api/v1/functions/{name}/sources":                    {operation: "sources.read", of: oneFunction},
	"GET /api/v1/functions/{name}/asyncapi":                   {operation: "functions.read", of: oneFunction},
	"GET /api/v1/functions/{name}/figures":                    {operation: "functions.read", of: oneFunction},
	"GET /api/v1/figures":                                     {operation: "functions.read", of: collection},
	"GET /api/v1/letters":                                     {operation: "letters.list", of: collection},
	"GET /api/v1/dealer":                                      {operation: "triggers.read", of: collection},
	"GET /api/v1/functions/{name}/bindings":                   {operation: "bindings.read", of: oneFunction},
	"GET /api/v1/functions/{name}/triggers":                   {operation: "triggers.read", of: oneFunction},
	"POST /api/v1/functions/{name}/triggers/{trigger}/{verb}": {operation: "triggers.steer", of: oneFunction},
	"GET /api/v1/functions/{function}/dealer":                 {operation: "triggers.read", of: oneFunction},
	"GET /api/v1/functions/{function}/dealer/{trigger}":       {operation: "triggers.read", of: oneFunction},
	"GET /api/v1/functions/{name}/letters":                    {operation: "letters.list", of: oneFunction},
	"DELETE /api/v1/functions/{name}/letters":                 {operation: "letters.delete", of: oneFunction},
	"GET /api/v1/functions/{name}/letters/{id}":               {operation: "letters.read", of: oneFunction},
	"DELETE /api/v1/functions/{name}/letters/{id}":            {operation: "letters.delete", of: oneFunction},
	"POST /api/v1/functions/{name}/letters/{id}/redrive":      {operation: "letters.redrive", of: oneFunction},
	"POST /api/v1/functions/{name}/captures":                  {operation: "captures.write", of: oneFunction},
	"GET /api/v1/functions/{name}/captures":                   {operation: "captures.list", of: oneFunction},
	"GET /api/v1/functions/{name}/captures/{id}":              {operation: "captures.read", of: oneFunction},
	"DELETE /api/v1/functions/{name}/captures/{id}":           {operation: "captures.write", of: oneFunction},
	"POST /api/v1/functions/{name}/captures/{id}/end":         {operation: "captures.write", of: oneFunction},
	"POST /api/v1/functions/{name}/replay":                    {operation: "captures.replay", of: oneFunction, body: maxReplay},
	"/api/v1/functions/{name}/invoke":                         {operation: "functions.invoke", of: oneFunction, body: -1},
	"/api/v1/functions/{name}/invoke/{path...}":               {operation: "functions.invoke", of: oneFunction, body: -1},

	"POST /api/v1/functions/{name}/versions":                    {operation: "versions.publish", of: oneFunction},
	"GET /api/v1/functions/{name}/versions":                     {operation: "versions.read", of: oneFunction},
	"POST /api/v1/functions/{name}/versions/collect":            {operation: "versions.delete", of: oneFunction},
	"GET /api/v1/functions/{name}/versions/{version}":           {operation: "versions.read", of: oneFunction},
	"DELETE /api/v1/functions/{name}/versions/{version}":        {operation: "versions.delete", of: oneFunction},
	"GET /api/v1/functions/{function}/aliases":                  {operation: "aliases.read", of: oneFunction},
	"POST /api/v1/functions/{function}/aliases":                 {operation: "aliases.write", of: oneFunction},
	"GET /api/v1/functions/{function}/aliases/{name}":           {operation: "aliases.read", of: oneFunction},
	"PUT /api/v1/functions/{function}/aliases/{name}":           {operation: "aliases.write", of: oneFunction},
	"PATCH /api/v1/functions/{function}/aliases/{name}":         {operation: "aliases.write", of: oneFunction},
	"DELETE /api/v1/functions/{function}/aliases/{name}":        {operation: "aliases.delete", of: oneFunction},
	"POST /api/v1/functions/{function}/aliases/{name}/rollback": {operation: "aliases.write", of: oneFunction},

	"GET /api/v1/functions/{function}/rollouts":                {operation: "rollouts.read", of: oneFunction},
	"POST /api/v1/functions/{function}/rollouts":               {operation: "rollouts.write", of: oneFunction},
	"GET /api/v1/functions/{function}/rollouts/{name}":         {operation: "rollouts.read", of: oneFunction},
	"PUT /api/v1/functions/{function}/rollouts/{name}":         {operation: "rollouts.write", of: oneFunction},
	"PATCH /api/v1/functions/{function}/rollouts/{name}":       {operation: "rollouts.write", of: oneFunction},
	"DELETE /api/v1/functions/{function}/rollouts/{name}":      {operation: "rollouts.write", of: oneFunction},
	"POST /api/v1/functions/{function}/rollouts/{name}/{verb}": {operation: "rollouts.write", of: oneFunction},

	"GET /api/v1/functions/{function}/jobs":                {operation: "jobs.read", of: oneFunction},
	"POST /api/v1/functions/{function}/jobs":               {operation: "jobs.write", of: oneFunction},
	"GET /api/v1/functions/{function}/jobs/{name}":         {operation: "jobs.read", of: oneFunction},
	"DELETE /api/v1/functions/{function}/jobs/{name}":      {operation: "jobs.write", of: oneFunction},
	"GET /api/v1/functions/{function}/jobs/{name}/items":   {operation: "jobs.items", of: oneFunction},
	"POST /api/v1/functions/{function}/jobs/{name}/items":  {operation: "jobs.write", of: oneFunction},
	"POST /api/v1/functions/{function}/jobs/{name}/{verb}": {operation: "jobs.write", of: oneFunction},

	"GET /api/v1/mappings":                 {operation: "mappings.read", of: wholeNamespace},
	"POST /api/v1/mappings":                {operation: "mappings.write", of: wholeNamespace},
	"GET /api/v1/mappings/{name}":          {operation: "mappings.read", of: wholeNamespace},
	"GET /api/v1/mappings/{name}/asyncapi": {operation: "mappings.read", of: wholeNamespace},
	"GET /api/v1/mappings/{name}/triggers": {operation: "mappings.read", of: wholeNamespace},
	"PUT /api/v1/mappings/{name}":          {operation: "mappings.write", of: wholeNamespace},
	"PATCH /api/v1/mappings/{name}":        {operation: "mappings.write", of: wholeNamespace},
	"DELETE /api/v1/mappings/{name}":       {operation: "mappings.delete", of: wholeNamespace},

	"GET /api/v1/projects":           {operation: "projects.read", of: collection},
	"POST /api/v1/projects":          {operation: "projects.write", of: wholeNamespace},
	"GET /api/v1/projects/{name}":    {operation: "projects.read", of: oneProject},
	"PUT /api/v1/projects/{name}":    {operation: "projects.write", of: wholeNamespace},
	"PATCH /api/v1/projects/{name}":  {operation: "projects.write", of: wholeNamespace},
	"DELETE /api/v1/projects/{name}": {operation: "projects.delete", of: wholeNamespace},

	"POST /api/v1/builds": {operation: "builds.run", of: collection, body: maxSource + maxObject},

	"GET /api/v1/secrets":           {operation: "secrets.list", of: collection},
	"PUT /api/v1/secrets/{name}":    {operation: "secrets.write", of: collection},
	"DELETE /api/v1/secrets/{name}": {operation: "secrets.delete", of: collection},

	"GET /api/v1/tokens":         {operation: "tokens.list", of: collection},
	"POST /api/v1/tokens":        {operation: "tokens.create", of: collection},
	"DELETE /api/v1/tokens/{id}": {operation: "tokens.revoke", of: collection},
	"GET /api/v1/signin":         {operation: "api.describe"},
	"POST /api/v1/signin":        {operation: "self.signin"},
	"GET /api/v1/whoami":         {operation: "self.read"},
	"GET /api/v1/audit":          {operation: "audit.read"},
	"POST /api/v1/keys/rotate":   {operation: "keys.rotate"},

	"GET /api/v1/version":      {operation: "server.version"},
	"GET /api/v1/healthz":      {operation: "server.health"},
	"GET /api/v1/metrics":      {operation: "server.metrics"},
	"GET /api/v1/openapi.json": {operation: "api.describe"},

	// What the program has, for whoever is known.
	"GET /api/v1/templates":        {operation: "server.version"},
	"GET /api/v1/templates/{name}": {operation: "server.version"},
	"GET /api/v1/schemas/{name}":   {operation: "server.version"},
	"GET /api/v1/triggers":         {operation: "api.describe"},
}
