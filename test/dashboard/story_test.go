package dashboard_test

import "testing"

const elsewhere = `def handler(context, event):
    return "from elsewhere"
`

// From an empty machine to a function of which a second version has a tenth of
// the traffic, and back, in a browser alone.
func TestStory(t *testing.T) {
	m := newMachine(t)
	m.browse("story.mjs", func(what string) {
		switch what {
		case "deploy":
			m.deploy("main.py", elsewhere, false, "--name", "hello-python", "--env", "LEVEL=high")
		default:
			t.Errorf("the browser's script wants %q", what)
		}
	})
}
