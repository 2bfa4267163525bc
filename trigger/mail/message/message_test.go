package message_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/trigger/mail/message"
)

const mixed = `From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>
To: shop@example.com, Ann <ann@example.com>
Subject: =?iso-8859-1?q?Gr=FC=DFe?=
Message-ID: <1@example.com>
Date: Sun, 01 Mar 2026 12:00:00 +0100
X-Own: a
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Stra=DFe
--c
Content-Type: text/html; charset=utf-8

<p>Straße</p>
--c--
--b
Content-Type: image/png
Content-Disposition: attachment; filename="../../a.png"
Content-Transfer-Encoding: base64
Content-ID: <i1>

AAEC
--b--
`

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func TestParse(t *testing.T) {
	m, headers, err := message.Parse(crlf(mixed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"messageId": "1@example.com", "date": "2026-03-01T12:00:00+01:00", "subject": "Grüße", "text": "Straße", "html": "<p>Straße</p>",
		"from": "[map[address:joerg@example.com name:Jörg]]", "to": "[map[address:shop@example.com] map[address:ann@example.com name:Ann]]",
		"attachments": "[map[contentId:i1 contentType:image/png data:AAEC name:a.png]]",
	} {
		if s := strings.TrimSpace(fmt.Sprint(got[key])); s != want {
			t.Errorf("%s: %s, want %s", key, s, want)
		}
	}
	if string(headers.Get("x-own")) != "a" || string(headers.Get("Subject")) != "Grüße" {
		t.Errorf("headers %v", headers)
	}
}

func TestPlain(t *testing.T) {
	m, _, err := message.Parse(crlf("Subject: s\n\nbody\n"))
	if err != nil || m.Text != "body\r\n" || m.Subject != "s" {
		t.Errorf("%+v, %v", m, err)
	}
	m, _, err = message.Parse(crlf("From: not an address\nContent-Type: text/plain; charset=no-such\n\nbody"))
	if err != nil || m.Text != "body" || len(m.From) != 1 || m.From[0].Name != "not an address" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestMalformed(t *testing.T) {
	for text, want := range map[string]string{
		"no header at all\n\n": "malformed",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nhalf": "unexpected EOF",
	} {
		if _, _, err := message.Parse(crlf(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	many := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 1002) + "--b--\n"
	if _, _, err := message.Parse(crlf(many)); !errors.Is(err, message.ErrParts) {
		t.Error(err)
	}
	deep := ""
	for i := range 60 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	if _, _, err := message.Parse(crlf(deep)); !errors.Is(err, message.ErrParts) {
		t.Error(err)
	}
}

// What is encoded in a way that nobody knows is taken as it is.
func TestUnknownEncoding(t *testing.T) {
	for _, text := range []string{
		"Content-Transfer-Encoding: own\n\nbody",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: own\n\nbody\n--b--\n",
	} {
		if m, _, err := message.Parse(crlf(text)); err != nil || m.Text != "body" {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(crlf(mixed))
	f.Add(crlf("Subject: s\n\nbody"))
	f.Add(crlf("Content-Type: multipart/0; Boundary=c\n\n--c\nContent-Transfer-Encoding: 0"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, _, err := message.Parse(raw)
		if err != nil {
			return
		}
		if _, err := m.JSON(); err != nil && !strings.Contains(err.Error(), "year") {
			t.Error(err)
		}
	})
}
