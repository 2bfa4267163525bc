package bindingtest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Object is the suite of class object. Make builds one that is not open; each
// call gives one of the same objects.
func Object(t *testing.T, make func(t *testing.T) binding.Binding) {
	open := func(t *testing.T) *data.Object {
		return data.NewObject(Opened(t, make(t)).(data.ObjectStore), guard())
	}
	t.Run("Content", func(t *testing.T) { objectContent(t, open(t)) })
	t.Run("Ranges", func(t *testing.T) { objectRanges(t, open(t)) })
	t.Run("Conditions", func(t *testing.T) { objectConditions(t, open(t)) })
	t.Run("List", func(t *testing.T) { objectList(t, open(t)) })
	t.Run("Names", func(t *testing.T) { objectNames(t, open(t)) })
	t.Run("Whole", func(t *testing.T) { objectWhole(t, open(t), open(t)) })
	t.Run("NotOpen", func(t *testing.T) {
		b := make(t)
		_, _, err := data.NewObject(b.(data.ObjectStore), guard()).Get(t.Context(), "o")
		want(t, err, data.Away)
		ok(t, b.Close())
	})
}

func objectContent(t *testing.T, o *data.Object) {
	name := unique() + "/a b/ä&?#%2e.bin"
	_, _, err := o.Get(t.Context(), name)
	want(t, err, data.NotFound)
	_, err = o.Stat(t.Context(), name)
	want(t, err, data.NotFound)
	var last string
	for _, content := range [][]byte{{}, []byte("short"), bytes.Repeat([]byte{0, 0xff}, 200_000)} {
		version, err := o.Put(t.Context(), name, content, data.PutObject{ContentType: "application/x-suite"})
		ok(t, err)
		got, info, err := o.Get(t.Context(), name)
		ok(t, err)
		if !bytes.Equal(got, content) || info.Version != version || version == last || info.ContentType != "application/x-suite" || info.Size != int64(len(content)) {
			t.Errorf("put %d bytes in %q, got %d: %+v", len(content), version, len(got), info)
		}
		last = version
	}
	info, err := o.Stat(t.Context(), name)
	if err != nil || info.Size != 400_000 || info.Version != last || info.Name != name || info.Modified.IsZero() {
		t.Errorf("stat: %+v, %v", info, err)
	}
	ok(t, o.Delete(t.Context(), name))
	ok(t, o.Delete(t.Context(), name))
	_, _, err = o.Get(t.Context(), name)
	want(t, err, data.NotFound)
	_, err = o.Put(t.Context(), name, bytes.Repeat([]byte("x"), Max+1), data.PutObject{})
	want(t, err, data.TooLarge)
	_, err = o.Put(t.Context(), name, nil, data.PutObject{ContentType: "a\r\nX-Evil: 1"})
	want(t, err, data.Misuse)
}

func objectRanges(t *testing.T, o *data.Object) {
	name := unique()
	_, err := o.Put(t.Context(), name, []byte("0123456789"), data.PutObject{})
	ok(t, err)
	for _, c := range []struct {
		from, to int64
		want     string
	}{{0, -1, "0123456789"}, {2, 4, "234"}, {7, -1, "789"}, {7, 100, "789"}, {0, 0, "0123456789"}, {9, 9, "9"}} {
		got, info, err := o.GetRange(t.Context(), name, data.Range{From: c.from, To: c.to})
		if err != nil || string(got) != c.want || info.Size != 10 {
			t.Errorf("%d-%d: %q of %d, %v", c.from, c.to, got, info.Size, err)
		}
	}
	for _, r := range []data.Range{{From: 11, To: -1}, {From: -1, To: 3}, {From: 4, To: 3}} {
		_, _, err := o.GetRange(t.Context(), name, r)
		want(t, err, data.Misuse)
	}
}

func objectConditions(t *testing.T, o *data.Object) {
	name := unique()
	put := func(content, version string) (string, error) {
		return o.Put(t.Context(), name, []byte(content), data.PutObject{If: &version})
	}
	first, err := put("1", "")
	ok(t, err)
	_, err = put("2", "")
	want(t, err, data.Conflict)
	second, err := put("2", first)
	ok(t, err)
	_, err = put("3", first)
	want(t, err, data.Conflict)
	if got, info, err := o.Get(t.Context(), name); err != nil || string(got) != "2" || info.Version != second {
		t.Errorf("%q in %q: %v", got, info.Version, err)
	}
}

func objectList(t *testing.T, o *data.Object) {
	dir := unique()
	var all []string
	for _, name := range []string{"a.txt", "a/1", "a/2", "a/b/c", "a0", "b", "a-", "ä"} {
		all = append(all, dir+"/"+name)
	}
	for _, name := range append(slices.Clone(all), dir+"x", dir+"0/y") {
		_, err := o.Put(t.Context(), name, []byte(name), data.PutObject{})
		ok(t, err)
	}
	slices.Sort(all)
	names := func(prefix, after string, limit int) (out []string) {
		infos, err := o.List(t.Context(), prefix, after, limit)
		ok(t, err)
		for _, i := range infos {
			if i.Size != int64(len(i.Name)) || i.Version == "" {
				t.Errorf("%+v", i)
			}
			out = append(out, i.Name)
		}
		return out
	}
	if got := names(dir+"/", "", 0); !slices.Equal(got, all) {
		t.Errorf("list: %q, want %q", got, all)
	}
	var paged []string
	for after := ""; ; after = paged[len(paged)-1] {
		page := names(dir+"/", after, 3)
		if paged = append(paged, page...); len(page) < 3 {
			break
		}
	}
	if !slices.Equal(paged, all) {
		t.Errorf("by pages: %q, want %q", paged, all)
	}
	if got := names(dir+"/a/", "", 0); len(got) != 3 {
		t.Errorf("below a/: %q", got)
	}
	if got := names(dir+"/a", dir+"/a/1", 2); !slices.Equal(got, []string{dir + "/a/2", dir + "/a/b/c"}) {
		t.Errorf("from the middle: %q", got)
	}
	if got := names(dir+"/none", "", 0); len(got) != 0 {
		t.Errorf("nothing: %q", got)
	}
}

func objectNames(t *testing.T, o *data.Object) {
	for _, name := range []string{"", "/etc/passwd", "../up", "a/../../up", "a/./b", "a//b", "a/", ".", "..", "a\\..\\b", "a\x00b", "a\nb", "\xff", strings.Repeat("n", data.MaxName+1)} {
		_, err := o.Put(t.Context(), name, []byte("x"), data.PutObject{})
		want(t, err, data.Misuse)
		_, _, err = o.Get(t.Context(), name)
		want(t, err, data.Misuse)
		want(t, o.Delete(t.Context(), name), data.Misuse)
	}
}

// objectWhole writes and reads one object at once: nobody sees a part of one.
func objectWhole(t *testing.T, one, two *data.Object) {
	name := unique()
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for i := range 10 {
				content := bytes.Repeat([]byte(strconv.Itoa(w*10+i%10)), 5000)
				if _, err := one.Put(t.Context(), name, content, data.PutObject{}); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	for range 20 {
		got, _, err := two.Get(t.Context(), name)
		if errors.Is(err, data.NotFound) {
			continue
		}
		ok(t, err)
		if n := len(got); n != 5000 && n != 10000 || !bytes.Equal(got, bytes.Repeat(got[:n/5000], 5000)) {
			t.Errorf("%d bytes, %q...", n, got[:min(n, 20)])
		}
	}
	all.Wait()
}
