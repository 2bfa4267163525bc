package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
)

// download fetches a file or an archive.
func (s Stager) download(ctx context.Context, ref Ref, dest string, b *budget) (string, error) {
	from, err := url.Parse(ref.Path)
	if err != nil || from.Host == "" {
		return "", mistake("not a URL: %s", ref.Path)
	}
	name := path.Base(from.Path)
	if name == "." || name == "/" || !filepath.IsLocal(name) {
		name = from.Hostname()
	}
	tmp, err := os.CreateTemp(filepath.Dir(dest), ".download-")
	if err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	defer os.Remove(tmp.Name())
	err = s.get(ctx, from, ref.Headers, tmp, b.bytes)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return "", err
	}
	kind, err := sniff(tmp.Name())
	if err != nil {
		return "", err
	}
	if kind != plain || archiveName(name) {
		return stem(name), s.unpack(tmp.Name(), name, kind, ref.WorkDir, dest, b)
	}
	fi, err := os.Stat(tmp.Name())
	if err != nil {
		return "", err
	}
	return stem(name), copyFile(tmp.Name(), filepath.Join(dest, name), fi, b, name)
}

func (s Stager) get(ctx context.Context, from *url.URL, headers map[string]string, to io.Writer, most int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return mistake("not a URL: %s", from.Redacted())
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := s.client().Do(req)
	if err != nil {
		return mistake("download: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return mistake("download %s: the server answered %s", from.Redacted(), resp.Status)
	}
	n, err := io.Copy(to, io.LimitReader(resp.Body, most+1))
	if err != nil {
		return fmt.Errorf("download %s: %w", from.Redacted(), err)
	}
	if n > most {
		return mistake("download %s: larger than %d bytes", from.Redacted(), most)
	}
	return nil
}

// client follows redirects to http and https only.
func (s Stager) client() *http.Client {
	c := http.Client{Transport: s.transport()}
	if s.Client != nil {
		c = *s.Client
	}
	next := c.CheckRedirect
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		secure := via[len(via)-1].URL.Scheme == "https"
		if scheme := req.URL.Scheme; scheme != "https" && (scheme != "http" || secure) {
			return fmt.Errorf("redirect to %s refused", scheme)
		}
		if next != nil {
			return next(req, via)
		}
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		return nil
	}
	return &c
}
