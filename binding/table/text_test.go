package table

import (
	"strings"
	"testing"
)

var (
	postgres = Syntax{Dollar: true, Nested: true, Numbers: true}
	mysql    = Syntax{Backslash: true, Hash: true, Spaced: true}
)

func TestPlaceholdersOfPostgreSQL(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT ?":                 "SELECT $1",
		"a = ? AND b IN (?,?)":     "a = $1 AND b IN ($2,$3)",
		"'?' ? \"?\" ?":            "'?' $1 \"?\" $2",
		"'it''s ?' ?":              "'it''s ?' $1",
		`E'\'?' ?`:                 `E'\'?' $1`,
		`'\' ?`:                    `'\' $1`,
		"-- ?\n?":                  "-- ?\n$1",
		"/* ? /* ? */ ? */ ?":      "/* ? /* ? */ ? */ $1",
		"$$?$$ ? $a$ ? $$ ? $a$ ?": "$$?$$ $1 $a$ ? $$ ? $a$ $2",
		"doc ?? ? AND x ??| ?":     "doc ? $1 AND x ?| $2",
		"x = $1 AND y = $2":        "x = $1 AND y = $2",
		"SELECT ?::int ; -- end":   "SELECT $1::int ; -- end",
		"ä = ?":                    "ä = $1",
	} {
		values := strings.Count(want, "$1") + strings.Count(want, "$2") + strings.Count(want, "$3")
		if got, err := postgres.rewrite(in, values); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestRefusedStatements(t *testing.T) {
	for in, syntax := range map[string]Syntax{
		"SELECT 1; SELECT 2":              postgres,
		"SELECT '?'":                      postgres, // no placeholder for the value
		"SELECT ?, ?":                     mysql,
		"SELECT ?1":                       postgres,
		"DELETE FROM a; -- x\nDROP TABLE": mysql,
		"SELECT 1 # ;\n; SELECT ?":        mysql,
		"  -- nothing ?\n":                mysql,
		"CREATE TABLE a (b INT); DROP ?":  {},
		"SELECT 'x\x00y', ? FROM \x00":    {},
	} {
		if got, err := syntax.rewrite(in, 1); err == nil {
			t.Errorf("%q is allowed, as %q", in, got)
		}
	}
	for _, in := range []string{"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END", "SELECT 'a;b' ; ", `SELECT 'it\'s; ?'`} {
		if got, err := mysql.rewrite(in, 0); err != nil || got != in {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// Without a space behind them, two dashes are no comment in MySQL.
func TestDashes(t *testing.T) {
	if got, err := mysql.rewrite("SELECT ?--?, '--' -- ?\n,?--\n", 3); err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"SELECT ?", "'", "E'\\", "/*", "$a$?", "??", "-- ?\n;?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, syntax := range []Syntax{postgres, mysql, {}} {
			for values := range 3 {
				if got, err := syntax.rewrite(s, values); err == nil && !syntax.Numbers && got != s {
					t.Errorf("%q became %q", s, got)
				}
			}
		}
	})
}
