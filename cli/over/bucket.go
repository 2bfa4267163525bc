package over

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// Stores says how stores of objects are reached.
type Stores struct {
	Kinds *binding.Set // those that the program has; nil: none
	// Getenv finds the credentials, under the names that everybody gives them.
	Getenv func(string) string
}

// bucketKind is what s3: means in a set of bindings.
const bucketKind = "object/s3"

// The environment of who reaches buckets.
const (
	envKey      = "AWS_ACCESS_KEY_ID"
	envSecret   = "AWS_SECRET_ACCESS_KEY" //nolint:gosec // its name
	envRegion   = "AWS_REGION"
	envEndpoint = "AWS_ENDPOINT_URL"
)

// bucket opens s3://BUCKET/PREFIX.
func (s Stores) bucket(ctx context.Context, text string) (Source, error) {
	name, prefix, _ := strings.Cut(strings.TrimPrefix(text, "s3://"), "/")
	if !strings.HasPrefix(text, "s3://") || name == "" {
		return nil, errors.New("want s3://BUCKET/PREFIX")
	}
	if s.Kinds == nil {
		return nil, errors.New("this program reaches no stores of objects")
	}
	f, err := s.Kinds.Lookup(bucketKind)
	if err != nil {
		return nil, fmt.Errorf("this program reaches no buckets: %w", err)
	}
	region := or(s.Getenv(envRegion), "us-east-1")
	at, err := url.Parse(or(s.Getenv(envEndpoint), "https://s3."+region+".amazonaws.com"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envEndpoint, err)
	}
	if key := s.Getenv(envKey); key != "" {
		at.User = url.User(key)
	}
	attributes, err := json.Marshal(map[string]string{"region": region})
	if err != nil {
		return nil, err
	}
	spec := function.DataBinding{URL: at.String(), Secret: quantity.Secret(s.Getenv(envSecret)), Path: name}
	b, err := f.New(binding.Settings{Name: name, Spec: spec, Log: slog.New(slog.DiscardHandler)}, attributes)
	if err != nil {
		return nil, err
	}
	l, ok := b.(data.ObjectLister)
	if !ok {
		return nil, errors.New("this kind of store cannot list")
	}
	if err := b.Open(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return Objects(l, prefix, b.Close), nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
