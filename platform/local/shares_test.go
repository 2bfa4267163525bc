package local

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/myelin-run/myelin/platform/local/supervise"
)

// An artefact that was built before there were shares has a processor without
// them, and is no hindrance to its successor.
func TestOldProcessorsKnowNoShares(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, AdminSocket))
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error, 1)
	go func() { done <- old.Serve(l) }()
	views, err := askShares(t.Context(), supervise.Member{Scratch: dir}, http.MethodPut, "?wait=0s", []byte("{}"))
	if err != nil || views == nil || len(views) != 0 {
		t.Errorf("%v, %v", views, err)
	}
	old.Close()
	<-done
}
