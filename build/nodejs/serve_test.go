package nodejs_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// serve offers the files of dir over HTTP until the test ends.
func serve(t *testing.T, dir string) string {
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL
}
