// Package podmetrics tells a cluster's autoscalers what processors say about their
// load: it serves version v1beta2 of Kubernetes' custom metrics API
// (custom.metrics.k8s.io, see the design "custom metrics API" of SIG Instrumentation),
// of pods, and nothing else of it. It keeps nothing: each question is one to the
// processors.
package podmetrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/myelin-run/myelin/platform"
)

// Of every pod of a function.
const (
	// AtOnce is how many events are in workers or wait for one.
	AtOnce = "myelin_events_at_once"
	// Backlog is how many events wait at the sources, as far as the sources tell. Where
	// each pod sees the whole of a source, all see the same number.
	Backlog = "myelin_backlog"
)

// Group and version of the API.
const (
	Group   = "custom.metrics.k8s.io"
	Version = "v1beta2"
	root    = "/apis/" + Group + "/" + Version
)

// askTime bounds what is asked of processors.
const askTime = 5 * time.Second

// Functions are what is asked.
type Functions interface {
	platform.Processors
	// Selected names the deployment whose pods a selector of labels means, in a
	// namespace; false: none of ours, or not one alone.
	Selected(namespace, selector string) (name string, ok bool)
}

// metrics are what there is, each made of what a processor answers to GET /load.
var metrics = map[string]func(load) int64{
	AtOnce: func(l load) int64 { return l.InFlight + l.Waiting },
	Backlog: func(l load) (sum int64) {
		for _, s := range l.Sources {
			sum += s.Lag
		}
		return sum
	},
}

type load struct {
	InFlight int64 `json:"inFlight"`
	Waiting  int64 `json:"waiting"`
	Sources  map[string]struct {
		Lag int64 `json:"lag"`
	} `json:"sources"`
}

// valueList is custom_metrics/v1beta2 MetricValueList.
type valueList struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct{} `json:"metadata"`
	Items           []value  `json:"items"`
}

type value struct {
	DescribedObject described   `json:"describedObject"`
	Metric          metric      `json:"metric"`
	Timestamp       metav1.Time `json:"timestamp"`
	Value           string      `json:"value"` // a quantity
}

type described struct {
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	APIVersion string `json:"apiVersion"`
}

type metric struct {
	Name string `json:"name"`
}

// Handler serves the API about functions. Who may ask is seen to by what is in front
// of it.
func Handler(functions Functions) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, discovery()) })
	mux.HandleFunc("GET "+root+"/namespaces/{namespace}/pods/{pod}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		list, err := ask(r.Context(), functions, r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("metric"), r.URL.Query().Get("labelSelector"))
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, http.StatusOK, list)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, fmt.Errorf("%w: %s %s", errUnknown, r.Method, r.URL.Path))
	})
	return mux
}

// discovery says which metrics there are.
func discovery() metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: Group + "/" + Version}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: "pods/" + name, Namespaced: true, Kind: "MetricValueList", Verbs: metav1.Verbs{"get"}})
	}
	return list
}

// errUnknown is what nobody has.
var errUnknown = errors.New("there is no such thing")

// ask asks the processors of one deployment. pod "*" means all of them. Of those that do
// not answer there is no value: an autoscaler takes that into account.
func ask(ctx context.Context, functions Functions, namespace, pod, name, selector string) (list valueList, err error) {
	of, ok := metrics[name]
	if !ok {
		return list, fmt.Errorf("%w: metric %.100q; there are %v", errUnknown, name, slices.Sorted(maps.Keys(metrics)))
	}
	deployment, ok := functions.Selected(namespace, selector)
	if !ok {
		return list, fmt.Errorf("%w: function whose pods have the labels %.300q", errUnknown, selector)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	list.TypeMeta = metav1.TypeMeta{Kind: "MetricValueList", APIVersion: Group + "/" + Version}
	list.Items = []value{}
	for _, reply := range functions.Ask(ctx, deployment, http.MethodGet, "/load", nil) {
		var l load
		if pod != "*" && pod != reply.Replica || reply.Err() != nil || json.Unmarshal(reply.Body, &l) != nil {
			continue
		}
		list.Items = append(list.Items, value{
			DescribedObject: described{Kind: "Pod", Namespace: namespace, Name: reply.Replica, APIVersion: "v1"},
			Metric:          metric{name}, Timestamp: metav1.Now(), Value: fmt.Sprint(of(l)),
		})
	}
	return list, nil
}

// refuse answers as an API server does.
func refuse(w http.ResponseWriter, err error) {
	answer(w, http.StatusNotFound, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound, Message: err.Error()})
}

func answer(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what) // whoever asked is gone
}
