package python

import "testing"

// The compiled worker rings for a caller that is alone in it; the other cannot.
func TestTwoBells(t *testing.T) {
	for _, native := range []bool{true, false} {
		for _, code := range []string{trivial, "async def handler(c, e):\n    return e.body\n"} {
			in, _ := fixture{code: code, attrs: map[string]any{"native": native}}.open(t)
			if in.TwoBells() != native {
				t.Errorf("native %v: two bells %v", native, in.TwoBells())
			}
		}
	}
}
