package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Config is the trigger's attributes. The trigger's own url is https://KEY@host,
// where KEY is the identifier of the access key, or http://, and its secret the key
// itself.
type Config struct {
	poll.Config
	// Bucket that is listed. Required.
	Bucket string `json:"bucket"`
	// Prefix and Suffix of the keys that are events. Default: all.
	Prefix string `json:"prefix,omitempty"`
	Suffix string `json:"suffix,omitempty"`
	// Fetch has the event's body be the object. Default: it says in JSON which one
	// it is.
	Fetch bool `json:"fetch,omitempty"`
	// MaxSize of an object that is fetched. Of a larger one the body is as without
	// fetch. Default 16Mi.
	MaxSize quantity.Size `json:"maxSize,omitempty"`
	// Overlap is how much older than the newest object one may be that is listed
	// for the first time: the longest time that writing one takes. Default 1h.
	Overlap quantity.Duration `json:"overlap,omitempty"`
	// Remember bounds how many objects of the overlap are remembered. Default 50000.
	Remember int `json:"remember,omitempty"`
	// Places is what the keys begin with of the objects, in the same bucket, that
	// keep how far was read. Default .myelin/places/.
	Places string `json:"places,omitempty"`
	// Region of the bucket. Default us-east-1.
	Region string `json:"region,omitempty"`
	// Addressing is how the bucket is named to the service: path (default) or host.
	Addressing string `json:"addressing,omitempty"`
	// Timeout bounds each request. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	TLS     *secure.TLS       `json:"tls,omitempty"`
}

func defaults() Config {
	c := Config{Config: poll.Defaults(), MaxSize: 16 << 20, Overlap: quantity.Duration(time.Hour), Remember: 50_000, Places: ".myelin/places/",
		Region: "us-east-1", Addressing: "path", Timeout: quantity.Duration(30 * time.Second)}
	c.Interval = quantity.Duration(10 * time.Second)
	return c
}

const maxKey = 1024

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	if c.Bucket == "" {
		es.Add("bucket", "is required")
	} else if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		es.Add("bucket", "%q: %v", c.Bucket, err)
	}
	for field, text := range map[string]string{"prefix": c.Prefix, "suffix": c.Suffix, "places": c.Places} {
		if len(text) > maxKey/2 || strings.Contains(text, "\x00") {
			es.Add(field, "is no part of a key")
		}
	}
	if c.Places == "" {
		es.Add("places", "is empty")
	}
	if c.Addressing != "path" && c.Addressing != "host" {
		es.Add("addressing", "is %q, expected path or host", c.Addressing)
	}
	if c.MaxSize < 1 || c.MaxSize > 1<<30 {
		es.Add("maxSize", "is %v, expected 1 to 1Gi", c.MaxSize)
	}
	if c.Overlap < 0 {
		es.Add("overlap", "is %v, expected 0s or more", c.Overlap)
	}
	if c.Remember < 100 || c.Remember > 1_000_000 {
		es.Add("remember", "is %d, expected 100 to 1000000", c.Remember)
	}
	if c.Timeout.Std() < 100*time.Millisecond {
		es.Add("timeout", "is %v, expected at least 100ms", c.Timeout)
	}
	if c.TLS != nil {
		c.TLS.Check(&es)
	}
	return es.Err()
}

// address is where a service is, and who asks.
type address struct {
	host        string
	plain       bool
	credentials *credentials.Credentials
}

// parseURL reads the url, user and secret of a trigger. Its errors do not show
// them.
func parseURL(s trigger.Settings) (a address, err error) {
	u, err := url.Parse(s.Spec.URL)
	switch {
	case s.Spec.URL == "":
		return a, errors.New("is required, such as https://KEY@s3.eu-central-1.amazonaws.com")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return a, errors.New("is not of the form https://KEY@host:port: the bucket is an attribute")
	}
	key, secret := s.Spec.Username, s.Spec.Secret.Reveal()
	if secret == "" {
		secret = s.Spec.Password.Reveal()
	}
	if u.User != nil {
		if key == "" {
			key = u.User.Username()
		}
		if p, ok := u.User.Password(); ok && secret == "" {
			secret = p
		}
	}
	if (key == "") != (secret == "") {
		return a, fmt.Errorf("has no key or there is no secret: https://KEY@host and the trigger's secret go together")
	}
	return address{host: u.Host, plain: u.Scheme == "http", credentials: credentials.NewStaticV4(key, secret, "")}, nil
}
