package cron

import (
	"testing"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

func TestWatch(t *testing.T) {
	for attributes, soon := range map[string]bool{
		`{"schedule":"30 12 * * *"}`:                                true,
		`{"schedule":"30 14 * * *","timezone":"Europe/Berlin"}`:     true, // in summer
		`{"schedule":"31 12 * * *"}`:                                false,
		`{"schedule":"*/5 * * * * *"}`:                              true,
		`{"schedule":"59 29 12 * * *"}`:                             true, // a second ago
		`{"schedule":"50 29 12 * * *"}`:                             false,
		`{"schedule":"TZ=Asia/Kolkata 0 18 * * *"}`:                 true,
		`{"schedule":"9 30 12 * * *","concurrencyPolicy":"Allow"}`:  true,
		`{"schedule":"10 30 12 * * *","concurrencyPolicy":"Allow"}`: false,
	} {
		made, err := Factory().New(trigger.Settings{Name: "t"}, []byte(attributes))
		if err != nil {
			t.Fatal(err)
		}
		w, err := made.(trigger.Watchable).Watch()
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC)
		if n, err := w.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("%s: %d wait, %v", attributes, n, err)
		}
		if got := w.(trigger.Soon).Soon(at); got != soon {
			t.Errorf("%s: soon is %v", attributes, got)
		}
	}
	for _, attributes := range []string{`{"interval":"1h"}`, `{"schedule":"@every 1h30m"}`} {
		made, err := Factory().New(trigger.Settings{Name: "t"}, []byte(attributes))
		if err != nil {
			t.Fatal(err)
		}
		if w, err := made.(trigger.Watchable).Watch(); err == nil {
			t.Errorf("%s: %v", attributes, w)
		}
	}
}
