package mysql

import (
	"errors"
	"slices"

	lib "github.com/go-sql-driver/mysql"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/table"
)

// mostParams is below what the protocol counts in 16 bits.
const mostParams = 60_000

var dialect = table.Dialect{
	Syntax: table.Syntax{Backslash: true, Hash: true, Spaced: true},
	Quote:  "`", Params: mostParams, Reason: reason, Text: isText, Undone: undone,
}

// isText reports whether bytes of a column of that type are text.
func isText(columnType string) bool {
	switch columnType {
	case "BINARY", "VARBINARY", "BLOB", "BIT", "GEOMETRY", "VECTOR":
		return false
	}
	return true
}

// deadlock is the number of the error that undoes a whole transaction.
const deadlock = 1213

// codes are the numbers of errors that mean something else than wrong use.
var codes = map[data.Reason][]uint16{
	data.Conflict: {1007, 1050, 1062, 1586, 1205, deadlock, 1020, 3572},
	data.Denied:   {1044, 1045, 1142, 1143, 1227, 1290, 1370, 1698, 1792, 1836, 3118, 4151},
	data.Busy:     {1040, 1203, 1226},
	data.TooLarge: {1153, 1301},
	data.Timeout:  {1317, 1969, 3024},
	data.Away:     {1021, 1037, 1038, 1041, 1053, 1077, 1079, 1114, 1152, 1158, 1159, 1160, 1161, 1184, 1927},
}

// reason says what an error of the server or of the client means.
func reason(err error) error {
	var e *lib.MySQLError
	switch {
	case errors.As(err, &e):
		for r, numbers := range codes {
			if slices.Contains(numbers, e.Number) {
				return data.As(r, err)
			}
		}
		return data.As(data.Misuse, err)
	case errors.Is(err, lib.ErrPktTooLarge):
		return data.As(data.TooLarge, err)
	case errors.Is(err, lib.ErrInvalidConn), errors.Is(err, lib.ErrMalformPkt), errors.Is(err, lib.ErrBusyBuffer):
		return data.As(data.Away, err)
	case errors.Is(err, lib.ErrNoTLS), errors.Is(err, lib.ErrOldPassword), errors.Is(err, lib.ErrUnknownPlugin), errors.Is(err, lib.ErrCleartextPassword):
		return data.As(data.Denied, err)
	}
	return err
}

// undone reports whether the server has rolled the whole transaction back.
func undone(err error) bool {
	var e *lib.MySQLError
	return errors.As(err, &e) && e.Number == deadlock
}
