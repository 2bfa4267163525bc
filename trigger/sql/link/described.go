package link

import (
	"net"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/asyncapi"
)

// Describe says where the database is. One that is a file, or behind a socket of
// the machine, is on that.
func (a *Address) Describe() []asyncapi.Server {
	s := asyncapi.Server{Protocol: a.Name}
	switch {
	case a.pg != nil && !strings.HasPrefix(a.pg.Host, "/"):
		s.Host, s.Path = net.JoinHostPort(a.pg.Host, strconv.Itoa(int(a.pg.Port))), "/"+a.pg.Database
		if a.pg.User != "" {
			s.Security = "userPassword"
		}
	case a.my != nil:
		s.Host, s.Path, s.Security = a.my.Addr, "/"+a.my.DBName, "userPassword"
	default:
		s = asyncapi.Local(a.Name)
	}
	return []asyncapi.Server{s}
}

// RowSchema is the schema of a row in JSON, of which nothing more is known than
// that it has its columns.
func RowSchema() map[string]any {
	return map[string]any{"type": "object", "description": "A row: its columns by their names."}
}

// Columns are the headers that columns make.
func Columns(names []string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out[n] = "The column of this name."
	}
	return out
}
