package imap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
)

const order = "From: Ann <ann@example.com>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\n\r\nTwo of the green one.\r\n--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--b--\r\n"

// unseen is how many messages of a mailbox are not marked as read, and all is how
// many there are.
func (b *broker) counts(t testing.TB, mailbox string) (unseen, all int) {
	t.Helper()
	text := b.says(t, "STATUS "+mailbox+" (UNSEEN MESSAGES)")
	_, text, _ = strings.Cut(text, "* STATUS "+mailbox+" (")
	if _, err := fmt.Sscanf(text, "MESSAGES %d UNSEEN %d", &all, &unseen); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return unseen, all
}

// A message becomes an event with its text, attachments and headers, and is read
// then; one that came while nobody looked is told by the server.
func TestMessage(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	b.put(t, order)
	r := run(t, b, function.Trigger{}, map[string]any{"interval": "20m"}, nil)
	r.until("the message", func() bool { return len(r.bodies()) == 1 && r.Report().Done == 1 })
	r.mu.Lock()
	ev := r.seen[0]
	r.mu.Unlock()
	var got struct {
		Subject, Text string
		Attachments   []struct {
			Name string
			Data []byte
		}
	}
	if err := json.Unmarshal(ev.Body, &got); err != nil || got.Subject != "Grüße" || got.Text != "Two of the green one." || len(got.Attachments) != 1 || string(got.Attachments[0].Data) != "1,2" {
		t.Errorf("%s, %v", ev.Body, err)
	}
	if string(ev.Header("subject")) != "Grüße" || ev.Topic != "INBOX" || ev.Time.IsZero() || !strings.HasPrefix(string(ev.ID), "INBOX;UIDVALIDITY=") || !strings.HasSuffix(string(ev.ID), ";UID=1") {
		t.Errorf("%+v", ev)
	}
	b.put(t, "Subject: second\r\n\r\n") // IDLE tells of it: the interval is longer than the test
	r.until("the second", func() bool { return len(r.bodies()) == 2 })
	r.end()
	if unseen, all := b.counts(t, "INBOX"); unseen != 0 || all != 2 {
		t.Errorf("%d of %d are not read", unseen, all)
	}
}

// Without IDLE the mailbox is looked at after each interval.
func TestPolled(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	r := run(t, b, function.Trigger{}, map[string]any{"idle": "off", "interval": "50ms", "format": "raw"}, nil)
	b.put(t, "Subject: first\r\n\r\n")
	r.until("the first", func() bool { return len(r.bodies()) == 1 })
	b.put(t, "no message")
	r.until("the second", func() bool { return len(r.bodies()) == 2 })
	if got := r.bodies(); got[0] != "Subject: first\r\n\r\n" || !strings.HasPrefix(got[1], "no message") {
		t.Errorf("%q", got)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen[1].Header(malformedHeader)) == 0 || string(r.seen[1].ContentType) != "message/rfc822" {
		t.Errorf("%+v", r.seen[1])
	}
}

// What is done is moved or removed, what is given up is moved elsewhere, and what is
// too large, too; what is not taken stays as it was.
func TestWhereMessagesGo(t *testing.T) {
	t.Parallel()
	for name, attributes := range map[string]map[string]any{
		"move":   {"after": "move", "moveTo": "Done & gone", "failedTo": "Failed"},
		"delete": {"after": "delete", "failedTo": "Failed"},
		"seen":   {"failedTo": "Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, shared.Dovecot(t))
			attributes["maxMessageSize"], attributes["format"] = 2000, "text"
			b.put(t, "Subject: good\r\n\r\ngood", "Subject: bad\r\n\r\nbad", "Subject: large\r\n\r\n"+strings.Repeat("x", 3000))
			r := run(t, b, function.Trigger{}, attributes, func(ev *event.Event) error {
				if strings.HasPrefix(string(ev.Body), "bad") {
					return event.Permanent(fmt.Errorf("bad"))
				}
				return nil
			})
			r.until("both", func() bool { x := r.Report(); return x.Done == 1 && x.Dead == 1 })
			r.until("the moves", func() bool { _, all := b.counts(t, "Failed"); return all == 2 })
			r.end()
			left := map[string]int{"seen": 1}[name]
			if unseen, all := b.counts(t, "INBOX"); unseen != 0 || all != left {
				t.Errorf("%d of %d are not read in the inbox", unseen, all)
			}
			if name == "move" {
				if _, all := b.counts(t, `"Done &- gone"`); all != 1 {
					t.Errorf("%d are done", all)
				}
			}
			if got := r.bodies(); len(got) != 2 {
				t.Errorf("%q ran", got)
			}
		})
	}
}

// A message that is too large stays unread, and the report says so.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	b.put(t, "Subject: large\r\n\r\n"+strings.Repeat("x", 3000), "Subject: small\r\n\r\n")
	r := run(t, b, function.Trigger{}, map[string]any{"maxMessageSize": 2000}, nil)
	r.until("the small one", func() bool { return r.Report().Done == 1 })
	r.until("the report", func() bool { return strings.Contains(r.Report().Problem, "larger than maxMessageSize: 1") })
	r.end()
	if unseen, all := b.counts(t, "INBOX"); unseen != 1 || all != 2 || len(r.bodies()) != 1 {
		t.Errorf("%d of %d are not read", unseen, all)
	}
}

// When the mailbox is made anew, its messages have the numbers of others: what is
// done then is not marked, as nobody knows it any more.
func TestRenumbered(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	b.says(t, "CREATE orders", "APPEND orders {15+}\r\nSubject: old\r\n\r\n")
	inside, release := make(chan struct{}, 9), make(chan struct{})
	defer func() {
		select {
		case <-release:
		default:
			close(release)
		}
	}()
	r := run(t, b, function.Trigger{}, map[string]any{"mailbox": "orders", "format": "raw"}, func(ev *event.Event) error {
		if strings.Contains(string(ev.Body), "old") {
			inside <- struct{}{}
			<-release
		}
		return nil
	})
	r.until("the old one", func() bool { return len(inside) > 0 })
	b.says(t, "DELETE orders", "CREATE orders")
	close(release)
	// Dovecot may take a mailbox for broken that one session has open while others
	// make it anew and write to it, and lose what they wrote.
	r.until("a new session", func() bool { return r.Report().Reconnects > 0 })
	b.says(t, "APPEND orders {15+}\r\nSubject: new\r\n\r\n")
	r.until("the new one", func() bool {
		return slices.ContainsFunc(r.bodies(), func(s string) bool { return strings.Contains(s, "new") })
	})
	r.until("its mark", func() bool { unseen, all := b.counts(t, "orders"); return unseen == 0 && all == 1 })
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last := string(r.seen[0].ID), string(r.seen[len(r.seen)-1].ID)
	if first == last || !strings.HasSuffix(first, ";UID=1") || !strings.HasSuffix(last, ";UID=1") {
		t.Errorf("ids %s and %s", first, last)
	}
}

// A server that is killed is waited for: all is done in the end.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	b := newBroker(t, s)
	const n = 60
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("Subject: test\r\n\r\n%d", i))
	}
	b.put(t, texts...)
	r := run(t, b, function.Trigger{}, map[string]any{"format": "text"}, nil)
	r.until("some", func() bool { return len(r.bodies()) > n/4 })
	must(t, s.Kill())
	must(t, s.Start())
	r.until("all", func() bool {
		all := map[string]bool{}
		for _, text := range r.bodies() {
			all[strings.TrimSpace(text)] = true
		}
		return len(all) == n
	})
	r.until("the marks", func() bool { unseen, _ := b.counts(t, "INBOX"); return unseen == 0 })
}

// A server that stands still is left, and found again.
func TestStandstill(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	r := run(t, b, function.Trigger{}, map[string]any{"format": "text", "timeout": "2s", "interval": "100ms"}, nil)
	b.put(t, "Subject: test\r\n\r\nfirst")
	r.until("the first", func() bool { return r.Report().Done >= 1 })
	b.proxy.Blackhole()
	r.until("the loss", func() bool { return r.Report().Reconnects > 0 })
	must(t, b.proxy.Restore())
	b.put(t, "Subject: test\r\n\r\nsecond")
	r.until("the second", func() bool {
		return slices.ContainsFunc(r.bodies(), func(s string) bool { return strings.HasPrefix(s, "second") })
	})
}

// TLS from the first byte, and from a command on; whose certificate is not known is
// told no password.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, servers.Login("", "secret"), servers.WithTLS())
	_, port, _ := strings.Cut(s.Addr, ":")
	_, plain, _ := strings.Cut(s.Plain, ":")
	for name, url := range map[string]string{"imaps": "imaps://localhost:" + port, "starttls": "imap://localhost:" + plain} {
		b := &broker{server: s, user: name}
		spec := function.Trigger{URL: url}
		r := run(t, b, spec, map[string]any{"startTLS": "required", "tls": map[string]any{"caFile": s.CAFile()}}, nil)
		r.until("the run", func() bool { return r.Report().State == trigger.Running })
		r.end()
		r = run(t, b, spec, map[string]any{"startTLS": "required"}, nil)
		r.until("the refusal", func() bool { return strings.Contains(r.Report().Problem, "certificate") })
		r.end()
	}
}

// Who only asks knows how many messages are not done.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	w, err := b.trigger(t, trigger.Settings{Name: "in", Function: "f"}, nil).(trigger.Watchable).Watch()
	must(t, err)
	defer w.Close()
	for n := range int64(3) {
		if got, err := w.Waiting(t.Context()); err != nil || got != n {
			t.Fatalf("%d wait, %v; want %d", got, err, n)
		}
		b.put(t, order)
	}
}

// Of two processors one reads; the other does once the first has stopped, and what
// was done is not done again.
func TestOneReads(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Dovecot(t))
	b.dealer = dealing.Start(t, patience)
	one := run(t, b, function.Trigger{}, map[string]any{"format": "text"}, nil)
	b.put(t, "Subject: test\r\n\r\n1")
	one.until("the first", func() bool { return one.Report().Done == 1 })
	two := run(t, b, function.Trigger{}, map[string]any{"format": "text"}, nil)
	b.put(t, "Subject: test\r\n\r\n2")
	one.until("the second", func() bool { return len(one.bodies())+len(two.bodies()) >= 2 })
	one.end()
	b.put(t, "Subject: test\r\n\r\n3")
	two.until("the third", func() bool {
		return slices.ContainsFunc(two.bodies(), func(s string) bool { return strings.HasPrefix(s, "3") })
	})
	two.end()
	if n := len(one.bodies()) + len(two.bodies()); n != 3 {
		t.Errorf("%q and %q ran", one.bodies(), two.bodies())
	}
}

func TestWrongConfigurations(t *testing.T) {
	const at = "imaps://mail.example.com"
	for name, x := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":     {`{}`, function.Trigger{}, "url: is required"},
		"scheme":     {`{}`, function.Trigger{URL: "https://host"}, "url: is not of the form"},
		"user":       {`{}`, function.Trigger{URL: "imaps://me:hush@host"}, "url: has a user"},
		"path":       {`{}`, function.Trigger{URL: at + "/INBOX"}, "the mailbox is an attribute"},
		"no user":    {`{}`, function.Trigger{URL: at}, "username: is required"},
		"line":       {`{}`, function.Trigger{URL: at, Username: "me", Password: "hush\n"}, "password: neither"},
		"start":      {`{}`, function.Trigger{URL: at, Username: "me", Delivery: function.Delivery{StartAt: "latest"}}, "startAt"},
		"after":      {`{"after":"sen"}`, function.Trigger{URL: at, Username: "me"}, "after: is \"sen\""},
		"no moveTo":  {`{"after":"move"}`, function.Trigger{URL: at, Username: "me"}, "moveTo: is required"},
		"moveTo":     {`{"moveTo":"x"}`, function.Trigger{URL: at, Username: "me"}, "moveTo: is only for"},
		"itself":     {`{"failedTo":"inbox"}`, function.Trigger{URL: at, Username: "me"}, "failedTo: is \"inbox\", and so is mailbox"},
		"name":       {`{"mailbox":"a\r\nb"}`, function.Trigger{URL: at, Username: "me"}, "mailbox: is"},
		"size":       {`{"maxMessageSize":1}`, function.Trigger{URL: at, Username: "me"}, "maxMessageSize"},
		"interval":   {`{"interval":"1ms"}`, function.Trigger{URL: at, Username: "me"}, "interval: is 1ms"},
		"assignment": {`{"assignment":"both"}`, function.Trigger{URL: at, Username: "me"}, "assignment"},
		"unknown":    {`{"folder":"x"}`, function.Trigger{URL: at, Username: "me"}, "folder"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Spec: x.spec}, json.RawMessage(x.attributes))
			if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, want %q", err, x.want)
			}
		})
	}
}
