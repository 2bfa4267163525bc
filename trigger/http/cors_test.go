package http

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
)

func TestCORS(t *testing.T) {
	const listed = `{"enabled":true,"allowOrigins":["https://a.example"],"allowCredentials":true,"exposeHeaders":["X-A","X-B"],"preflightMaxAgeSeconds":60}`
	const preflight = "OPTIONS / HTTP/1.1\r\nHost: h\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: X-Mine\r\n"
	const real = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
	const good, bad = "Origin: https://a.example\r\n\r\n", "Origin: https://evil.example\r\n\r\n"
	const prefix = "Access-Control-"
	for _, c := range []struct {
		name, cors, request string
		status              int // 299 from the function
		want                map[string]string
	}{
		{"off", `{"enabled":false}`, real + good, 299, map[string]string{}},
		{"off, preflight", `{"enabled":false}`, preflight + good, 299, map[string]string{}},
		{"any", `{"enabled":true}`, real + bad, 299, map[string]string{"Allow-Origin": "*"}},
		{"any with credentials", `{"enabled":true,"allowCredentials":true}`, real + bad, 299, map[string]string{"Allow-Origin": "*"}},
		{"no origin", listed, real + "\r\n", 299, map[string]string{"Vary": "Origin"}},
		{"good", listed, real + good, 299, map[string]string{"Allow-Origin": "https://a.example", "Allow-Credentials": "true", "Expose-Headers": "X-A, X-B", "Vary": "Origin"}},
		{"bad", listed, real + bad, 299, map[string]string{"Vary": "Origin"}},
		{"preflight", listed, preflight + good, 204, map[string]string{
			"Allow-Origin": "https://a.example", "Allow-Credentials": "true", "Max-Age": "60",
			"Allow-Methods": "HEAD, GET, POST, PUT, DELETE, OPTIONS, PATCH",
			"Allow-Headers": "Accept, Content-Length, Content-Type, Authorization, X-Nuclio-Log-Level",
			"Vary":          "Origin|Access-Control-Request-Method|Access-Control-Request-Headers"}},
		{"bad preflight", listed, preflight + bad, 204, map[string]string{"Vary": "Origin|Access-Control-Request-Method|Access-Control-Request-Headers"}},
		{"default age", `{"enabled":true,"allowMethods":["PUT"],"allowHeaders":["*"]}`, preflight + good, 204, map[string]string{
			"Allow-Origin": "*", "Max-Age": "5", "Allow-Methods": "PUT", "Allow-Headers": "X-Mine", "Vary": "Access-Control-Request-Method|Access-Control-Request-Headers"}},
		{"no age", `{"enabled":true,"preflightMaxAgeSeconds":-1,"allowMethods":["PUT"],"allowHeaders":["X-M"]}`, preflight + good, 204, map[string]string{
			"Allow-Origin": "*", "Allow-Methods": "PUT", "Allow-Headers": "X-M", "Vary": "Access-Control-Request-Method|Access-Control-Request-Headers"}},
		{"other preflight method", `{"enabled":true,"preflightRequestMethod":"TRACE"}`, preflight + good, 299, map[string]string{"Allow-Origin": "*"}},
		{"plain OPTIONS", listed, "OPTIONS / HTTP/1.1\r\nHost: h\r\n" + good, 299, map[string]string{"Allow-Origin": "https://a.example", "Allow-Credentials": "true", "Expose-Headers": "X-A, X-B", "Vary": "Origin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, body := exchange(t, `{"drainLinger":"10ms","cors":`+c.cors+`}`, c.request, func(resp *event.Response) error {
				resp.Status, resp.Body = 299, append(resp.Body, "served"...)
				return nil
			})
			if status != c.status || status == 299 && body != "served" {
				t.Errorf("%d %q, want %d", status, body, c.status)
			}
			for _, k := range []string{"Allow-Origin", "Allow-Credentials", "Expose-Headers", "Allow-Methods", "Allow-Headers", "Max-Age", "Vary"} {
				key := prefix + k
				if k == "Vary" {
					key = k
				}
				if got := strings.Join(header[key], "|"); got != c.want[k] {
					t.Errorf("%s: %q, want %q", key, got, c.want[k])
				}
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for attributes, want := range map[string]string{
		`{"port":70000}`:                                         "port",
		`{"readBufferSize":10}`:                                  "readBufferSize",
		`{"maxRequestBodySize":0}`:                               "maxRequestBodySize",
		`{"maxHeaderBytes":-1}`:                                  "maxHeaderBytes",
		`{"maxConnections":0}`:                                   "maxConnections",
		`{"concurrency":-1}`:                                     "concurrency",
		`{"mode":"batch"}`:                                       "mode",
		`{"readTimeout":"-1s"}`:                                  "readTimeout",
		`{"cors":{"enabled":true,"allowMethods":["A B"]}}`:       "cors.allowMethods",
		`{"cors":{"enabled":true,"allowOrigins":["a\r\nB: c"]}}`: "cors.allowOrigins",
		`{"prot":80}`:                                            "prot",
	} {
		if _, err := Factory().New(settings(), []byte(attributes)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", attributes, err, want)
		}
	}
	// Whatever Nuclio's files may say is taken.
	const nuclio = `{"port":0,"ingresses":{"a":{"host":"h","paths":["/"]}},"serviceType":"NodePort","disablePortPublishing":true,"mode":"sync","reduceMemoryUsage":true}`
	if _, err := Factory().New(settings(), []byte(nuclio)); err != nil {
		t.Error(err)
	}
}
