package podmetrics

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/myelin-run/myelin/platform"
)

// some is one deployment of three pods, one of which does not answer.
type some struct{ asked []string }

func (s *some) Selected(namespace, selector string) (string, bool) {
	return "f", namespace == "n" && selector == "app=f"
}

func (s *some) Ask(_ context.Context, name, method, path string, _ []byte) []platform.Reply {
	s.asked = append(s.asked, name+" "+method+" "+path)
	return []platform.Reply{
		{Replica: "a", Status: http.StatusOK, Body: []byte(`{"inFlight":3,"waiting":4,"sources":{"x":{"lag":5},"y":{"lag":6}}}`)},
		{Replica: "b", Body: []byte("refused")},
		{Replica: "c", Status: http.StatusOK, Body: []byte(`{}`)},
		{Replica: "d", Status: http.StatusOK, Body: []byte(`nonsense`)},
	}
}

func get(t *testing.T, h http.Handler, path string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code
}

func TestValues(t *testing.T) {
	s := &some{}
	h := Handler(s)
	for _, c := range []struct {
		path string
		want map[string]string
	}{
		{"/pods/*/" + AtOnce, map[string]string{"a": "7", "c": "0"}},
		{"/pods/*/" + Backlog, map[string]string{"a": "11", "c": "0"}},
		{"/pods/a/" + AtOnce, map[string]string{"a": "7"}},
		{"/pods/b/" + AtOnce, map[string]string{}},
	} {
		var list valueList
		if code := get(t, h, root+"/namespaces/n"+c.path+"?labelSelector=app%3Df", &list); code != http.StatusOK || list.Kind != "MetricValueList" {
			t.Errorf("%s: %d %+v", c.path, code, list)
		}
		got := map[string]string{}
		for _, v := range list.Items {
			got[v.DescribedObject.Name] = v.Value
			if v.DescribedObject.Kind != "Pod" || v.DescribedObject.Namespace != "n" || v.Timestamp.IsZero() || !strings.HasSuffix(c.path, v.Metric.Name) {
				t.Errorf("%s: %+v", c.path, v)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.path, got, c.want)
		}
	}
	if len(s.asked) != 4 || s.asked[0] != "f GET /load" {
		t.Errorf("asked %q", s.asked)
	}
}

func TestWhatThereIs(t *testing.T) {
	var list metav1.APIResourceList
	if code := get(t, Handler(&some{}), root, &list); code != http.StatusOK || list.GroupVersion != "custom.metrics.k8s.io/v1beta2" || len(list.APIResources) != 2 || list.APIResources[0].Name != "pods/"+Backlog {
		t.Errorf("%d %+v", code, list)
	}
}

func TestWhatThereIsNot(t *testing.T) {
	for _, path := range []string{
		root + "/namespaces/n/pods/*/other?labelSelector=app%3Df", root + "/namespaces/n/pods/*/" + AtOnce + "?labelSelector=app%3Dg",
		root + "/namespaces/m/pods/*/" + AtOnce + "?labelSelector=app%3Df", root + "/nodes/*/" + AtOnce, "/", "/apis", root + "/namespaces/n/pods/*",
	} {
		var s metav1.Status
		if code := get(t, Handler(&some{}), path, &s); code != http.StatusNotFound || s.Status != metav1.StatusFailure || s.Message == "" {
			t.Errorf("%s: %d %+v", path, code, s)
		}
	}
}
