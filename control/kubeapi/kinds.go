package kubeapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// definitions are where kinds are defined.
var definitions = Resource{"apiextensions.k8s.io", "v1", "customresourcedefinitions"}

// FormatAnnotation says, on a definition, which format of the kind it is: a number that
// grows, a dot, and the digest of the definition.
const FormatAnnotation = "myelin.run/format"

// Definition is a kind that the control plane needs.
type Definition struct {
	Name   string // records.internal.myelin.run
	Format string // what [FormatAnnotation] says
	Object json.RawMessage
}

// Define makes a definition of a CustomResourceDefinition. The number of its format grows
// when an older program could not read what a newer one writes.
func Define(number int, object []byte) (Definition, error) {
	var d map[string]any
	if err := json.Unmarshal(object, &d); err != nil {
		return Definition{}, fmt.Errorf("define a kind: %w", err)
	}
	meta, _ := d["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	sum := sha256.Sum256(object)
	format := strconv.Itoa(number) + "." + hex.EncodeToString(sum[:6])
	meta["annotations"] = map[string]any{FormatAnnotation: format}
	text, err := json.Marshal(d)
	return Definition{name, format, text}, err
}

// NewerError says that a cluster has a kind in a newer format than this program knows.
type NewerError struct{ Name, There, Here string }

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s is of format %s in the cluster, and this program knows %s: a newer Myelin uses the cluster; use that version", e.Name, e.There, e.Here)
}

// establishLimit is how long an API server may take to serve a kind.
const establishLimit = time.Minute

// Establish has the cluster know kinds. What is there in an older format is upgraded; a
// newer one is a [*NewerError] and stays. Who may not define kinds needs them to be there.
func (c *Client) Establish(ctx context.Context, kinds ...Definition) error {
	ctx, cancel := context.WithTimeout(ctx, establishLimit)
	defer cancel()
	for _, k := range kinds {
		if err := c.define(ctx, k); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := c.established(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

type defined struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Status   struct {
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

func (c *Client) definition(ctx context.Context, name string) (d defined, err error) {
	err = again(ctx, func() error {
		raw, err := c.Get(ctx, Address{Resource: definitions, Name: name})
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &d)
	})
	return d, err
}

func (c *Client) define(ctx context.Context, k Definition) error {
	there, err := c.definition(ctx, k.Name)
	said := there.Metadata.Annotations[FormatAnnotation]
	switch {
	case err == nil && said == k.Format:
		return nil
	case err == nil && number(said) > number(k.Format):
		return &NewerError{k.Name, said, k.Format}
	case err != nil && !apierrors.IsNotFound(err):
		return err
	}
	err = again(ctx, func() error {
		_, err := c.Apply(ctx, Address{Resource: definitions, Name: k.Name}, k.Object)
		return err
	})
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w; have somebody who may define kinds do it", err)
	}
	return err
}

// number is what a format begins with.
func number(format string) int {
	n := 0
	for _, r := range format {
		if r < '0' || r > '9' {
			break
		}
		n = n*10 + int(r-'0')
	}
	return n
}

// established waits until the kind is served.
func (c *Client) established(ctx context.Context, k Definition) error {
	for {
		d, err := c.definition(ctx, k.Name)
		if err != nil {
			return err
		}
		for _, cond := range d.Status.Conditions {
			if cond.Type == "Established" && cond.Status == metav1.ConditionTrue {
				return nil
			}
			if cond.Type == "NamesAccepted" && cond.Status == metav1.ConditionFalse {
				return fmt.Errorf("define %s: %s", k.Name, cond.Message)
			}
		}
		if err := Pause(ctx, 0); err != nil {
			return fmt.Errorf("define %s: %w", k.Name, err)
		}
	}
}

// again does what fails passingly until it does not, or ctx is done.
func again(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || !Passing(err) {
			return err
		}
		if perr := Pause(ctx, n); perr != nil {
			return errors.Join(err, perr)
		}
	}
}

// Pause waits before what failed n times before is tried again.
func Pause(ctx context.Context, n int) error {
	wait := min(100*time.Millisecond<<min(n, 6), 3*time.Second)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}
