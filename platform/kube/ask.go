package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/myelin-run/myelin/platform"
)

// maxReply bounds what is read of an answer.
const maxReply = 16 << 20

// Ask implements [platform.Processors]. Processors are asked where their pods are.
func (p *Platform) Ask(ctx context.Context, name, method, path string, body []byte) []platform.Reply {
	if p.ready(ctx) != nil {
		return nil
	}
	id := p.idOf(name)
	var asked []*corev1.Pod
	for _, pod := range p.seen.of(id).pods {
		if pod.DeletionTimestamp == nil && pod.Status.PodIP != "" && containerOf(pod).State.Running != nil {
			asked = append(asked, pod)
		}
	}
	out := make([]platform.Reply, len(asked))
	var all sync.WaitGroup
	for i, pod := range asked {
		all.Go(func() {
			out[i] = platform.Reply{Replica: pod.Name}
			var err error
			if out[i].Body, out[i].Status, err = p.request(ctx, id, pod, method, path, body); err != nil {
				out[i].Status, out[i].Body = 0, []byte(err.Error())
			}
		})
	}
	all.Wait()
	return out
}

// request asks one processor. What comes back is the function's to forge.
func (p *Platform) request(ctx context.Context, id string, pod *corev1.Pod, method, path string, body []byte) ([]byte, int, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: p.o.Dial}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	at := "http://" + net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(adminPort)) + path
	r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("ask processor: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+p.tokenOf(id))
	resp, err := c.Do(r)
	if err != nil {
		return nil, 0, fmt.Errorf("ask processor: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, 0, fmt.Errorf("ask processor: %w", err)
	}
	return text, resp.StatusCode, nil
}
