package dashboard_test

import "testing"

const live = `# @nuclio.configure
#
# function.yaml:
#   spec:
#     triggers:
#       web: {kind: http, attributes: {websocket: {}, events: true}}
def handler(context, event):
    if event.get_header("X-Myelin-Websocket"):
        return context.Response(body=event.body, content_type=event.content_type)
    if event.method == "POST":
        return context.Response(body=event.body, headers={"X-Myelin-Publish": "news"})
    if event.path.endswith("feed"):
        return context.Response(headers={"X-Myelin-Subscribe": "news"})
    return context.Response(body="<!doctype html><title>live</title>", content_type="text/html")
`

// A browser's own WebSocket and EventSource, from a page that the function answers
// with; a page of another host is refused.
func TestBrowserWebSocket(t *testing.T) {
	m := newMachine(t)
	m.deploy("live.py", live, false)
	m.browse("websocket.mjs", func(what string) { t.Errorf("the browser's script wants %q", what) })
}
