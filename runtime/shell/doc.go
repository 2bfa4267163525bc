// Package shell runs functions that are scripts or programs: one process per
// event, whose standard input is the event's body and whose standard output is
// the answer. No command line is ever put together as text: arguments go to
// the program as they are. The package knows no trigger and no platform.
package shell
