package bindingtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// KV is the suite of class kv. Make builds one that is not open; each call gives
// one of the same keys.
func KV(t *testing.T, make func(t *testing.T) binding.Binding) {
	open := func(t *testing.T) *data.KV {
		return data.NewKV(Opened(t, make(t)).(data.KeyStore), guard())
	}
	t.Run("Values", func(t *testing.T) { kvValues(t, open(t)) })
	t.Run("Conditions", func(t *testing.T) { kvConditions(t, open(t)) })
	t.Run("TTL", func(t *testing.T) { kvTTL(t, open(t)) })
	t.Run("Scan", func(t *testing.T) { kvScan(t, open(t)) })
	t.Run("Add", func(t *testing.T) { kvAdd(t, open(t), open(t)) })
	t.Run("Swaps", func(t *testing.T) { kvSwaps(t, open(t), open(t)) })
	t.Run("Many", func(t *testing.T) { kvMany(t, open(t)) })
	t.Run("Misuse", func(t *testing.T) { kvMisuse(t, open(t)) })
	if _, tells := make(t).(data.KeyWatcher); tells {
		t.Run("Watch", func(t *testing.T) { kvWatch(t, open(t), open(t)) })
	}
	t.Run("NotOpen", func(t *testing.T) {
		b := make(t)
		_, err := data.NewKV(b.(data.KeyStore), guard()).Get(t.Context(), "k")
		want(t, err, data.Away)
		ok(t, b.Close())
	})
}

func kvValues(t *testing.T, kv *data.KV) {
	key := unique() + "/ä ö:\"quoted\"'; DROP TABLE kv; --\n*?[x]\\"
	_, err := kv.Get(t.Context(), key)
	want(t, err, data.NotFound)
	for _, v := range [][]byte{{}, []byte("text"), {0, 1, 0xff, '\n'}, bytes.Repeat([]byte("x"), 300_000)} {
		version, err := kv.Put(t.Context(), key, v)
		ok(t, err)
		got, err := kv.Get(t.Context(), key)
		ok(t, err)
		if !bytes.Equal(got.Data, v) || got.Data == nil || got.Version != version || version == "" {
			t.Errorf("put %d bytes in version %q, got %d in %q", len(v), version, len(got.Data), got.Version)
		}
	}
	ok(t, kv.Delete(t.Context(), key))
	ok(t, kv.Delete(t.Context(), key))
	_, err = kv.Get(t.Context(), key)
	want(t, err, data.NotFound)
}

// kvMany writes many keys at once, and has many read them at once: each gets its own.
func kvMany(t *testing.T, kv *data.KV) {
	prefix := unique()
	all := make([]data.Pair, 100)
	for i := range all {
		all[i] = data.Pair{Key: prefix + strconv.Itoa(i), Value: bytes.Repeat([]byte{byte(i)}, i*i)}
	}
	all[7].TTL = time.Hour
	for i, err := range kv.PutAll(t.Context(), all) {
		if err != nil {
			t.Fatalf("write %d of many: %v", i, err)
		}
	}
	var readers sync.WaitGroup
	for r := range 16 {
		readers.Go(func() {
			for i := range all {
				one := all[(i*7+r*13)%len(all)]
				if v, err := kv.Get(t.Context(), one.Key); err != nil || !bytes.Equal(v.Data, one.Value) || v.Version == "" {
					t.Errorf("%d bytes of %d, version %q: %v", len(v.Data), len(one.Value), v.Version, err)
				}
				if _, err := kv.Get(t.Context(), one.Key+"-none"); !errors.Is(err, data.NotFound) {
					t.Errorf("a key that is not there: %v", err)
				}
			}
		})
	}
	readers.Wait()
}

func kvConditions(t *testing.T, kv *data.KV) {
	key := unique()
	_, err := kv.Put(t.Context(), key, []byte("1"), data.IfVersion("17"))
	want(t, err, data.Conflict)
	first, err := kv.Put(t.Context(), key, []byte("1"), data.IfAbsent())
	ok(t, err)
	_, err = kv.Put(t.Context(), key, []byte("2"), data.IfAbsent())
	want(t, err, data.Conflict)
	second, err := kv.Put(t.Context(), key, []byte("2"), data.IfVersion(first))
	ok(t, err)
	_, err = kv.Put(t.Context(), key, []byte("3"), data.IfVersion(first))
	want(t, err, data.Conflict)
	want(t, kv.Delete(t.Context(), key, data.IfVersion(first)), data.Conflict)
	if v, err := kv.Get(t.Context(), key); err != nil || string(v.Data) != "2" || v.Version != second {
		t.Errorf("%q in %q, want 2 in %q: %v", v.Data, v.Version, second, err)
	}
	ok(t, kv.Delete(t.Context(), key, data.IfVersion(second)))
	_, err = kv.Put(t.Context(), key, []byte("4"), data.IfAbsent())
	ok(t, err)
	ok(t, kv.Delete(t.Context(), key))
}

func kvTTL(t *testing.T, kv *data.KV) {
	short, long, lifted := unique(), unique(), unique()
	for key, ttl := range map[string]time.Duration{short: time.Second, long: time.Hour, lifted: time.Second} {
		_, err := kv.Put(t.Context(), key, []byte("v"), data.TTL(ttl))
		ok(t, err)
	}
	_, err := kv.Put(t.Context(), lifted, []byte("stays"))
	ok(t, err)
	eventually(t, "the key ends", func() bool {
		_, err := kv.Get(t.Context(), short)
		return errors.Is(err, data.NotFound)
	})
	for _, key := range []string{long, lifted} {
		if _, err := kv.Get(t.Context(), key); err != nil {
			t.Errorf("a key that stays: %v", err)
		}
	}
	if keys, err := kv.Scan(t.Context(), short, "", 0); err != nil || len(keys) != 0 {
		t.Errorf("a scan finds %q that ended: %v", keys, err)
	}
	_, err = kv.Put(t.Context(), short, []byte("new"), data.IfAbsent())
	ok(t, err)
}

func kvScan(t *testing.T, kv *data.KV) {
	prefix := unique() + "%_*"
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("%s/%02d", prefix, i))
	}
	all = append(all, prefix+"/ä", prefix+"/\U0010ffff")
	for _, key := range append(slices.Clone(all), strings.ToUpper(prefix), prefix[:len(prefix)-1]+"x/1") {
		_, err := kv.Put(t.Context(), key, []byte("v"))
		ok(t, err)
	}
	keys, err := kv.Scan(t.Context(), prefix+"/", "", 0)
	ok(t, err)
	slices.Sort(all)
	if !slices.Equal(keys, all) {
		t.Errorf("scan: %q, want %q", keys, all)
	}
	var paged []string
	for after := ""; ; after = paged[len(paged)-1] {
		page, err := kv.Scan(t.Context(), prefix+"/", after, 10)
		ok(t, err)
		if paged = append(paged, page...); len(page) < 10 {
			break
		}
	}
	if !slices.Equal(paged, all) {
		t.Errorf("by pages: %q", paged)
	}
	for _, limit := range []int{-1, data.MaxScan + 1} {
		_, err = kv.Scan(t.Context(), prefix, "", limit)
		want(t, err, data.Misuse)
	}
}

// kvAdd counts from two connections at once.
func kvAdd(t *testing.T, one, two *data.KV) {
	key := unique()
	var all sync.WaitGroup
	for i := range 40 {
		kv := []*data.KV{one, two}[i%2]
		all.Go(func() {
			if _, err := kv.Add(t.Context(), key, 3); err != nil {
				t.Errorf("add: %v", err)
			}
		})
	}
	all.Wait()
	if v, err := one.Get(t.Context(), key); err != nil || string(v.Data) != "120" {
		t.Errorf("sum %q: %v", v.Data, err)
	}
	if sum, err := one.Add(t.Context(), key, -121, data.TTL(time.Hour)); err != nil || sum != -1 {
		t.Errorf("sum %d: %v", sum, err)
	}
	_, err := one.Put(t.Context(), key, []byte("nine"))
	ok(t, err)
	_, err = one.Add(t.Context(), key, 1)
	want(t, err, data.Misuse)
	_, err = one.Put(t.Context(), key, []byte("9223372036854775807"))
	ok(t, err)
	_, err = one.Add(t.Context(), key, 1)
	want(t, err, data.Misuse)
}

// kvSwaps has several writers change one value by its version only: no change
// is lost.
func kvSwaps(t *testing.T, one, two *data.KV) {
	key := unique()
	_, err := one.Put(t.Context(), key, []byte("0"))
	ok(t, err)
	var all sync.WaitGroup
	for i := range 4 {
		kv := []*data.KV{one, two}[i%2]
		all.Go(func() {
			for done := 0; done < 5; {
				v, err := kv.Get(t.Context(), key)
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				n, _ := strconv.Atoi(string(v.Data))
				_, err = kv.Put(t.Context(), key, strconv.AppendInt(nil, int64(n+1), 10), data.IfVersion(v.Version))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, data.Conflict):
					t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	if v, err := one.Get(t.Context(), key); err != nil || string(v.Data) != "20" {
		t.Errorf("%q after 20 changes: %v", v.Data, err)
	}
}

func kvMisuse(t *testing.T, kv *data.KV) {
	for _, key := range []string{"", strings.Repeat("k", data.MaxKey+1), "a\x00b", "\xff"} {
		_, err := kv.Get(t.Context(), key)
		want(t, err, data.Misuse)
		_, err = kv.Put(t.Context(), key, nil)
		want(t, err, data.Misuse)
	}
	_, err := kv.Put(t.Context(), unique(), make([]byte, Max+1))
	want(t, err, data.TooLarge)
	_, err = kv.Put(t.Context(), unique(), nil, data.TTL(-1))
	want(t, err, data.Misuse)
	_, err = kv.Put(t.Context(), unique(), []byte("v"), data.IfVersion("'; --"))
	want(t, err, data.Conflict)
}
