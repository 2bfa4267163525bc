package quantity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	for raw, want := range map[string]time.Duration{`"30s"`: 30 * time.Second, `"1h30m"`: 90 * time.Minute, `0`: 0, `"0"`: 0, `"-1s"`: -time.Second} {
		var d Duration
		if err := json.Unmarshal([]byte(raw), &d); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v", raw, d, err)
		}
	}
	kept := Duration(time.Minute)
	if err := json.Unmarshal([]byte(`""`), &kept); err != nil || kept.Std() != time.Minute {
		t.Errorf("empty text: %v, %v", kept, err)
	}
	for raw, want := range map[string]string{
		`"30 s"`: `"30 s" is not a duration such as "30s"`, `30`: `30 is not a duration such as "30s"`,
		`" "`: `" " is not a duration such as "30s"`, `true`: `true is not a duration such as "30s"`,
	} {
		d := Duration(7)
		if err := json.Unmarshal([]byte(raw), &d); err == nil || err.Error() != want || d != 7 {
			t.Errorf("%s: got %v, %v", raw, err, d)
		}
	}
}

func TestSize(t *testing.T) {
	for raw, want := range map[string]int64{
		`"64Ki"`: 64 << 10, `"4Mi"`: 4 << 20, `"10MB"`: 10e6, `"10M"`: 10e6, `"1.5Gi"`: 3 << 29, `"1.5GiB"`: 3 << 29,
		`4096`: 4096, `"4096"`: 4096, `"12B"`: 12, `"1k"`: 1000, `"1KB"`: 1000, `0`: 0,
		`"9223372036854775807"`: math.MaxInt64, `"7Ei"`: 7 << 60,
	} {
		var s Size
		if err := json.Unmarshal([]byte(raw), &s); err != nil || s.Bytes() != want {
			t.Errorf("%s: %d, %v, want %d", raw, s, err, want)
		}
	}
	for raw, want := range map[string]string{
		`"64 Ki"`: `"64 Ki" is not a size such as "64Ki" or "10MB"`, `-1`: `"-1" is not a size such as "64Ki" or "10MB"`,
		`"1.3Ki"`: `"1.3Ki" is not a whole number of bytes`, `1.5`: `"1.5" is not a whole number of bytes`,
		`"8Ei"`: `"8Ei" is too large, at most "8Ei" less one byte`, `[1]`: `[1] is not a size such as "64Ki" or "10MB"`,
		`"ki"`: `"ki" is not a size such as "64Ki" or "10MB"`,
	} {
		var s Size
		if err := json.Unmarshal([]byte(raw), &s); err == nil || err.Error() != want {
			t.Errorf("%s: got %v", raw, err)
		}
	}
	for n, want := range map[Size]string{0: "0", 512: "512", 1000: "1KB", 1 << 10: "1Ki", 1536: "1536", 3 << 29: "1.5Gi", 10e6: "10MB", 4 << 20: "4Mi", 1e18: "1EB", -5: "-5"} {
		if got := n.String(); got != want {
			t.Errorf("%d is written %s, want %s", int64(n), got, want)
		}
	}
}

func TestAmount(t *testing.T) {
	for raw, want := range map[string][2]int64{ // thousandths, units
		`"500m"`: {500, 1}, `2`: {2000, 2}, `"2"`: {2000, 2}, `0.5`: {500, 1}, `"128Mi"`: {128 << 20 * 1000, 128 << 20},
		`"1e3"`: {1e6, 1000}, `"1E3"`: {1e6, 1000}, `"1E"`: {math.MaxInt64, 1e18}, `".5"`: {500, 1}, `"5."`: {5000, 5},
		`"-1.5"`: {-1500, -1}, `"100n"`: {1, 1}, `"+1k"`: {1e6, 1000}, `"99Ei"`: {math.MaxInt64, math.MaxInt64}, `"-99Ei"`: {math.MinInt64, math.MinInt64}, `1e-2`: {10, 1},
	} {
		var a Amount
		if err := json.Unmarshal([]byte(raw), &a); err != nil || a.Milli() != want[0] || a.Bytes() != want[1] {
			t.Errorf("%s: %d %d, %v, want %d", raw, a.Milli(), a.Bytes(), err, want)
		}
	}
	const not = ` is not a quantity such as "500m", "2" or "128Mi"`
	for raw, want := range map[string]string{
		`"half"`: `"half"` + not, `"1 Gi"`: `"1 Gi"` + not, `"1GB"`: `"1GB"` + not, `""`: `""` + not, `true`: `true` + not, `"1K"`: `"1K"` + not,
		`"1e999999999"`: `"1e999999999"` + not, `"0.1n"`: `"0.1n" is finer than a billionth`,
		`"` + strings.Repeat("9", 100) + `"`: `"` + strings.Repeat("9", 40) + `..."` + not,
	} {
		var a Amount
		if err := json.Unmarshal([]byte(raw), &a); err == nil || err.Error() != want {
			t.Errorf("%s: got %v", raw, err)
		}
	}
	if Amount("1500m").Cmp("1.5") != 0 || Amount("1Gi").Cmp("1G") != 1 || Amount("0.999").Cmp("1") != -1 {
		t.Error("amounts compare wrong")
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	const clear = "hunter2"
	holder := struct {
		S Secret            `json:"s" yaml:"s"`
		P *Secret           `json:"p" yaml:"p"`
		L []Secret          `json:"l" yaml:"l"`
		M map[string]Secret `json:"m" yaml:"m"`
	}{S: clear, P: new(Secret(clear)), L: []Secret{clear}, M: map[string]Secret{"a": clear}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%T"} {
		fmt.Fprintf(&out, verb+"\n", Secret(clear))
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	fmt.Fprintln(&out, Secret(clear), holder, fmt.Errorf("wrap %v", Secret(clear)))
	for _, v := range []any{Secret(clear), holder} {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		asYAML, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(asJSON)
		out.Write(asYAML)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", Secret(clear), "holder", holder, slog.Group("g", "s", Secret(clear)))
	}
	for _, form := range []string{clear, fmt.Sprintf("%x", clear), fmt.Sprintf("%X", clear)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret is shown as %s in:\n%s", form, out.String())
		}
	}
	if Secret(clear).Reveal() != clear || Secret("").String() != "" || fmt.Sprintf("%v %q", Secret(clear), Secret(clear)) != `*** "***"` {
		t.Error("Reveal, an empty secret or its form is wrong")
	}
	var s Secret
	if err := json.Unmarshal([]byte(`"hunter2"`), &s); err != nil || s != clear {
		t.Errorf("got %v", err)
	}
	if err := json.Unmarshal([]byte(`31337`), &s); err == nil || strings.Contains(err.Error(), "31337") {
		t.Errorf("a wrong secret is shown: %v", err)
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, s := Duration(rapid.Int64().Draw(t, "duration")), Size(rapid.Int64Min(0).Draw(t, "size"))
		if rapid.Bool().Draw(t, "round") {
			s = s >> 30 << 30
		}
		raw, err := json.Marshal([]any{d, s})
		if err != nil {
			t.Fatal(err)
		}
		var parts []json.RawMessage
		var d2 Duration
		var s2 Size
		if err := json.Unmarshal(raw, &parts); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(parts[0], &d2); err != nil || d2 != d {
			t.Fatalf("%s: %v, %v", parts[0], d2, err)
		}
		if err := json.Unmarshal(parts[1], &s2); err != nil || s2 != s {
			t.Fatalf("%s: %v, %v", parts[1], s2, err)
		}
		if len(s.String()) > len(fmt.Sprint(int64(s))) {
			t.Fatalf("%s is longer than the plain number", s)
		}
		n := rapid.Int64Range(-1e15, 1e15).Draw(t, "milli")
		if a := Amount(fmt.Sprintf("%dm", n)); a.Milli() != n || a.Cmp(Amount(fmt.Sprintf("%de-3", n))) != 0 {
			t.Fatalf("%s is %d", a, a.Milli())
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`"30s"`, `0`, `"1.5Gi"`, `"10MB"`, `"-1e-3"`, `"1E3"`, `1e400`, `"\ud800"`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
			return
		}
		check[Duration](t, raw, func(a, b Duration) bool { return a == b })
		check[Size](t, raw, func(a, b Size) bool { return a == b && a >= 0 })
		check[Amount](t, raw, func(a, b Amount) bool { return a.Cmp(b) == 0 && a.Milli() == b.Milli() })
	})
}

// check tells that what is read is written so that it is read the same again.
func check[T any](t *testing.T, raw []byte, same func(a, b T) bool) {
	t.Helper()
	var a, b T
	if json.Unmarshal(raw, &a) != nil {
		return
	}
	out, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &b); err != nil || !same(a, b) {
		t.Fatalf("%s became %s: %v", raw, out, err)
	}
}
