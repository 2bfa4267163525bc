package python

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

// Events come while threads of the function call and sleep at random: nobody
// misses a ring.
func TestCallsAndEventsAtOnce(t *testing.T) {
	code := callHead + `
import random, time
done = []
def caller(context, seed):
    rnd = random.Random(seed)
    for i in range(300):
        body = bytes([i % 251]) * rnd.choice([1, 100, 3000, 50000])
        if context.platform.call_function('f', request(body)).body != body:
            done.append('wrong')
            return
        if rnd.random() < 0.2:
            time.sleep(rnd.random() / 1000)
    done.append('right')
def init_context(context):
    for i in range(4):
        threading.Thread(target=caller, args=(context, i)).start()
`
	plain, async := code+`
def handler(context, event):
    if event.body == b'done':
        return ' '.join(done)
    return context.platform.call_function('f', request(event.body)).body
`, code+`
async def handler(context, event):
    if event.body == b'done':
        return ' '.join(done)
    return (await context.platform.call_function_async('f', request(event.body))).body
`
	for _, native := range []bool{true, false} {
		for form, code := range map[string]string{"plain": plain, "async": async} {
			t.Run(fmt.Sprintf("native=%v/%s", native, form), func(t *testing.T) {
				in, _ := fixture{code: code, attrs: map[string]any{"native": native}, calls: echoes{}}.open(t)
				var all sync.WaitGroup
				for g := range 3 {
					all.Go(func() {
						for i := range 200 {
							body := strings.Repeat(string(rune('a'+g)), 1+i*37%5000)
							resp, err := call(t, in, &event.Event{Body: []byte(body)})
							if err != nil || string(resp.Body) != body {
								t.Errorf("%d bytes: %d bytes, %v", len(body), len(resp.Body), err)
								return
							}
							if i%10 == 0 {
								time.Sleep(time.Millisecond) // lets the worker fall asleep
							}
						}
					})
				}
				all.Wait()
				for end := time.Now().Add(time.Minute); ; {
					resp, err := call(t, in, &event.Event{Body: []byte("done")})
					if err != nil || time.Now().After(end) {
						t.Fatalf("%q, %v", resp.Body, err)
					}
					if string(resp.Body) == "right right right right" {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
	}
}
