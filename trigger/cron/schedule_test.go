package cron

import (
	"strings"
	"testing"
	"time"
)

func moment(t testing.TB, zone, s string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// ticks lists the ticks of a span as zone shows them, with the zone's name.
func ticks(t testing.TB, spec, zone, from, to string) []string {
	t.Helper()
	s, err := parse(spec, zone)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	end := moment(t, zone, to)
	for at := s.Next(moment(t, zone, from)); !at.IsZero() && at.Before(end); at = s.Next(at) {
		out = append(out, at.Format("2 15:04:05 MST"))
	}
	return out
}

func TestDaylightSaving(t *testing.T) {
	const berlin, newYork = "Europe/Berlin", "America/New_York"
	for _, c := range []struct {
		name, spec, zone, from, to string
		want                       string
	}{
		{"fixed time skipped, Berlin", "30 2 * * *", berlin, "2026-03-28 00:00:00", "2026-03-31 00:00:00",
			"28 02:30:00 CET|29 03:30:00 CEST|30 02:30:00 CEST"},
		{"fixed time twice, Berlin", "30 2 * * *", berlin, "2026-10-24 00:00:00", "2026-10-27 00:00:00",
			"24 02:30:00 CEST|25 02:30:00 CEST|26 02:30:00 CET"},
		{"fixed time skipped, New York", "30 2 * * *", newYork, "2026-03-07 00:00:00", "2026-03-10 00:00:00",
			"7 02:30:00 EST|8 03:30:00 EDT|9 02:30:00 EDT"},
		{"fixed time twice, New York", "30 1 * * *", newYork, "2026-10-31 00:00:00", "2026-11-03 00:00:00",
			"31 01:30:00 EDT|1 01:30:00 EDT|2 01:30:00 EST"},
		{"quarters over the gap, Berlin", "*/15 * * * *", berlin, "2026-03-29 01:30:00", "2026-03-29 03:30:00",
			"29 01:45:00 CET|29 03:00:00 CEST|29 03:15:00 CEST"},
		{"quarters twice, Berlin", "*/15 * * * *", berlin, "2026-10-25 01:45:00", "2026-10-25 03:01:00",
			"25 02:00:00 CEST|25 02:15:00 CEST|25 02:30:00 CEST|25 02:45:00 CEST|25 02:00:00 CET|25 02:15:00 CET|25 02:30:00 CET|25 02:45:00 CET|25 03:00:00 CET"},
		{"quarters over the gap, New York", "*/15 * * * *", newYork, "2026-03-08 01:30:00", "2026-03-08 03:30:00",
			"8 01:45:00 EST|8 03:00:00 EDT|8 03:15:00 EDT"},
		{"quarters twice, New York", "*/15 * * * *", newYork, "2026-11-01 00:45:00", "2026-11-01 02:01:00",
			"1 01:00:00 EDT|1 01:15:00 EDT|1 01:30:00 EDT|1 01:45:00 EDT|1 01:00:00 EST|1 01:15:00 EST|1 01:30:00 EST|1 01:45:00 EST|1 02:00:00 EST"},
		{"after the hour that came twice", "0 3 * * *", berlin, "2026-10-25 00:00:00", "2026-10-25 12:00:00", "25 03:00:00 CET"},
		{"half an hour back, Lord Howe", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00", "2026-04-06 00:00:00", "5 01:45:00 +11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(ticks(t, c.spec, c.zone, c.from, c.to), "|"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"0 12 * * *", "1 12:00:00|2 12:00:00"},
		{"*/20 30 12 * * *", "1 12:30:00|1 12:30:20|1 12:30:40|2 12:30:00|2 12:30:20|2 12:30:40"},
		{"* 30 12 * * *", "1 12:30:00|2 12:30:00"}, // as Nuclio
		{"@daily", "2 00:00:00"},
		{"@every 20h", "1 20:00:00|2 16:00:00"},
		{"0 6 * * THU", "1 06:00:00"},            // 1 January 2026
		{"0 6 2 * THU", "1 06:00:00|2 06:00:00"}, // either day
		{"0 6 2 JAN *", "2 06:00:00"},
		{"TZ=Europe/Berlin 0 6 * * *", "1 05:00:00|2 05:00:00"},
		{"CRON_TZ=Europe/Berlin @daily", "1 23:00:00|2 23:00:00"},
	} {
		s, err := parse(c.spec, "")
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		var got []string
		end := moment(t, "UTC", "2026-01-03 00:00:00")
		for at := s.Next(moment(t, "UTC", "2026-01-01 00:00:00")); at.Before(end); at = s.Next(at) {
			got = append(got, at.UTC().Format("2 15:04:05"))
		}
		if g := strings.Join(got, "|"); g != c.want {
			t.Errorf("%s: %s, want %s", c.spec, g, c.want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for attributes, want := range map[string]string{
		`{}`: "one of them is needed",
		`{"schedule":"* * * * *","interval":"1s"}`:                   "only one",
		`{"schedule":"61 * * * *"}`:                                  "schedule:",
		`{"schedule":"0 0 30 2 *"}`:                                  "never comes",
		`{"schedule":"TZ=Mars/Olympus 0 0 * * *"}`:                   "Mars/Olympus",
		`{"schedule":"TZ=UTC 0 0 * * *","timezone":"Europe/Berlin"}`: "differs",
		`{"schedule":"TZ=UTC"}`:                                      "no fields",
		`{"schedule":"0 0 * * *","timezone":"../../etc/passwd"}`:     "time zone",
		`{"schedule":"@reboot"}`:                                     "schedule:",
		`{"interval":"1us"}`:                                         "less than 1ms",
		`{"interval":"-1s"}`:                                         "less than 1ms",
		`{"interval":"1s","timezone":"UTC"}`:                         "timezone",
		`{"interval":"1s","missed":"some"}`:                          "missed",
		`{"interval":"1s","concurrencyPolicy":"Replace"}`:            "concurrencyPolicy",
		`{"interval":"1s","event":{"headers":{"X":["a"]}}}`:          "event.headers.X",
		`{"interval":"1s","jobBackoffLimit":-1}`:                     "jobBackoffLimit",
		`{"interval":"1s","jitter":"-1s"}`:                           "jitter",
		`{"interval":"1s","colour":"red"}`:                           "colour",
		`{"schedule":"` + strings.Repeat("*", 2000) + `"}`:           "schedule:",
	} {
		if err := newErr(attributes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: error %v, want one with %q", attributes, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"* * * * *", "*/5 1-3 1,2 JAN MON-FRI", "TZ=UTC @daily", "@every 1s", "0 0 31 2 *", "60-1/0 * * * *"} {
		f.Add(s)
	}
	at := time.Date(2026, 3, 29, 0, 59, 59, 999, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := parse(spec, "")
		if err != nil {
			return
		}
		if next := s.Next(at); !next.IsZero() && !next.After(at) {
			t.Errorf("%q: the tick after %v is %v", spec, at, next)
		}
	})
}
