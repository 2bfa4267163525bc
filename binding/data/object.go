package data

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxName is the most bytes of an object's name.
const MaxName = 900

// Info is what is known of an object besides its content.
type Info struct {
	Name        string    `json:"name"`
	Size        int64     `json:"size"`
	Version     string    `json:"version,omitempty"` // opaque; another one after each change
	ContentType string    `json:"contentType,omitempty"`
	Modified    time.Time `json:"modified"`
}

// Range is a part of an object, both ends included. The zero Range is all of
// it; a To below 0 is the end.
type Range struct{ From, To int64 }

// All reports whether it is no part.
func (r Range) All() bool { return r == Range{} || r.From == 0 && r.To < 0 }

// PutObject says how an object is written.
type PutObject struct {
	ContentType string
	If          *string // as in [Put]
}

// ObjectStore is what a driver of the class object is. Its methods are called
// by many goroutines at once. Names have been checked. A missing object is
// [NotFound], a condition that does not hold [Conflict]. Nobody sees a part of an
// object that is being written.
type ObjectStore interface {
	// Get returns an object, or part of it, of at most limit bytes (0: any).
	Get(ctx context.Context, name string, r Range, limit int64) ([]byte, Info, error)
	// Put returns the new version.
	Put(ctx context.Context, name string, content []byte, o PutObject) (string, error)
	// Delete of an object that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// ObjectLister is implemented by object stores that can tell what they have.
type ObjectLister interface {
	Stat(ctx context.Context, name string) (Info, error)
	// List returns up to limit objects whose names begin with prefix and sort
	// after after, in the order of their bytes. Types of content may be left out.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)
}

// Object is a binding of the class object, for functions. Any goroutine may
// use it.
type Object struct {
	handle
	store ObjectStore
	peek  ObjectPeeker // nil if the store has nothing at hand
}

// NewObject makes the handle of a driver, bounded by g, which may be nil.
func NewObject(s ObjectStore, g *Guard) *Object {
	peek, _ := s.(ObjectPeeker)
	return &Object{guarded(g), s, peek}
}

// LostObject is a handle whose calls all fail with err.
func LostObject(err error) *Object { return &Object{handle: handle{lost: err}} }

// Get returns the content of an object.
func (o *Object) Get(ctx context.Context, name string) ([]byte, Info, error) {
	return o.GetRange(ctx, name, Range{})
}

// GetRange returns a part of the content of an object.
func (o *Object) GetRange(ctx context.Context, name string, r Range) ([]byte, Info, error) {
	content, info, err := o.Shared(ctx, name, r)
	if err != nil {
		return nil, Info{}, err
	}
	return own(o.peek != nil || o.guard.Fetches, content), info, nil
}

// Put writes an object and returns its version.
func (o *Object) Put(ctx context.Context, name string, content []byte, p PutObject) (version string, err error) {
	defer o.wrote(ctx, name)
	err = o.run(ctx, "object.put", p.If == nil, func(ctx context.Context) (err error) {
		if err := CheckName(name); err != nil {
			return err
		}
		if strings.ContainsFunc(p.ContentType, func(r rune) bool { return r < ' ' || r > '~' }) || len(p.ContentType) > 255 {
			return Errorf(Misuse, "content type %.80q is none", p.ContentType)
		}
		if err := o.guard.fits(len(content)); err != nil {
			return err
		}
		version, err = o.store.Put(ctx, name, content, p)
		return err
	})
	return version, err
}

// Delete removes an object; one that is not there is no error.
func (o *Object) Delete(ctx context.Context, name string) error {
	defer o.wrote(ctx, name)
	return o.run(ctx, "object.delete", true, func(ctx context.Context) error {
		if err := CheckName(name); err != nil {
			return err
		}
		return o.store.Delete(ctx, name)
	})
}

// Stat returns what is known of an object.
func (o *Object) Stat(ctx context.Context, name string) (info Info, err error) {
	err = o.run(ctx, "object.stat", true, func(ctx context.Context) (err error) {
		l, ok := o.store.(ObjectLister)
		if !ok {
			return Errorf(Unsupported, "this kind of object cannot be asked about")
		}
		if err := CheckName(name); err != nil {
			return err
		}
		info, err = l.Stat(ctx, name)
		return err
	})
	return info, err
}

// List returns up to limit objects whose names begin with prefix and sort after
// after, in the order of their bytes. A limit of 0 is 1000.
func (o *Object) List(ctx context.Context, prefix, after string, limit int) (infos []Info, err error) {
	err = o.run(ctx, "object.list", true, func(ctx context.Context) (err error) {
		l, ok := o.store.(ObjectLister)
		if !ok {
			return Errorf(Unsupported, "this kind of object cannot list")
		}
		if limit, err = checkLimit(limit); err != nil {
			return err
		}
		infos, err = l.List(ctx, prefix, after, limit)
		return err
	})
	return infos, err
}

// CheckName refuses names of objects that not every store can have, or that
// would lead out of one: those with an empty part, "." or ".." between their
// slashes, with a backslash or control characters.
func CheckName(name string) error {
	switch {
	case name == "":
		return Errorf(Misuse, "the object's name is empty")
	case len(name) > MaxName:
		return Errorf(Misuse, "object's name of %d bytes, at most %d are possible", len(name), MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return Errorf(Misuse, "object's name %q has a backslash, or characters that are not text", name)
	}
	parts := strings.Split(name, "/")
	if slices.ContainsFunc(parts, func(p string) bool { return p == "" || p == "." || p == ".." || len(p) > 255 }) {
		return Errorf(Misuse, "object's name %q: between slashes there are 1 to 255 bytes, and neither . nor ..", name)
	}
	return nil
}

// Cut finds the part of an object of that size which r means: where it begins
// and how many bytes it has. It refuses more than limit bytes (0: any).
func (r Range) Cut(size, limit int64) (from, n int64, err error) {
	from, end := r.From, size
	if !r.All() && r.To >= 0 && r.To < size {
		end = r.To + 1
	}
	switch {
	case from > size || from == size && from > 0:
		return 0, 0, Errorf(Misuse, "range begins at %d, behind the end of the object of %d bytes", from, size)
	case limit > 0 && end-from > limit:
		return 0, 0, Errorf(TooLarge, "%d bytes of the object are above the limit of %d (maxValue): read it in parts", end-from, limit)
	}
	return from, end - from, nil
}
