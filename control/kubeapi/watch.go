package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrGone says that changes since a version are not known any more: list again.
var ErrGone = errors.New("changes since then are not known any more")

// pageSize is how many objects are listed at once.
const pageSize = 250

// List calls each with every object, as they were at one version, and returns that.
// Labels selects by labels, "" all.
func (c *Client) List(ctx context.Context, a Address, labels string, each func(json.RawMessage) error) (version string, err error) {
	one, err := c.of(a.Resource)
	if err != nil {
		return "", err
	}
	next := ""
	for {
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		text, err := func() ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			r := one.Get().NamespaceIfScoped(a.Namespace, a.Namespace != "").Resource(a.Plural).Param("limit", fmt.Sprint(pageSize)).MaxRetries(0)
			if labels != "" {
				r = r.Param("labelSelector", labels)
			}
			if next != "" {
				r = r.Param("continue", next)
			}
			return answer(r.Do(ctx))
		}()
		if err == nil {
			err = json.Unmarshal(text, &page)
		}
		for i := 0; err == nil && i < len(page.Items); i++ {
			err = each(page.Items[i])
		}
		if err != nil {
			return "", fmt.Errorf("list %s: %w", a, err)
		}
		if next = page.Metadata.Continue; next == "" {
			return page.Metadata.ResourceVersion, nil
		}
	}
}

// Event is a change of an object.
type Event struct {
	Gone bool // it was deleted; Object is as it was last
	// Object is nil in what only says that there was no change until now.
	Object json.RawMessage
}

// Watch calls each with what changes after a version, in order, until it returns an
// error, ctx is done or the API server ends the watch, and returns the version from which
// another one goes on. [ErrGone]: it cannot.
func (c *Client) Watch(ctx context.Context, a Address, labels, version string, each func(Event) error) (string, error) {
	one, err := c.of(a.Resource)
	if err != nil {
		return version, err
	}
	r := one.Get().NamespaceIfScoped(a.Namespace, a.Namespace != "").Resource(a.Plural).MaxRetries(0).
		Param("watch", "true").Param("allowWatchBookmarks", "true").Param("resourceVersion", version)
	if labels != "" {
		r = r.Param("labelSelector", labels)
	}
	body, err := r.Stream(ctx)
	if err != nil {
		return version, gone(fmt.Errorf("watch %s: %w", a, err))
	}
	defer body.Close()
	for d := json.NewDecoder(body); ; {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		if err := d.Decode(&e); err != nil {
			return version, nil //nolint:nilerr // that is how watches end
		}
		if e.Type == "ERROR" {
			var s metav1.Status
			if err := json.Unmarshal(e.Object, &s); err == nil && s.Code == http.StatusGone {
				return version, fmt.Errorf("watch %s: %w", a, ErrGone)
			}
			return version, fmt.Errorf("watch %s: %s", a, s.Message)
		}
		var o struct{ Metadata metav1.ObjectMeta }
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return version, fmt.Errorf("watch %s: %w", a, err)
		}
		change := Event{e.Type == "DELETED", e.Object}
		if e.Type == "BOOKMARK" {
			change.Object = nil
		}
		if err := each(change); err != nil {
			return version, err
		}
		version = o.Metadata.ResourceVersion
	}
}

// gone tells [ErrGone] from other errors.
func gone(err error) error {
	var said interface{ Status() metav1.Status }
	if errors.As(err, &said) && said.Status().Code == http.StatusGone {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}
