package python

import "testing"

// An older pip's progress lines follow its error, which is told all the same.
func TestComplaint(t *testing.T) {
	for output, want := range map[string]string{
		"Looking\nERROR: no such package\nProcessing ./x\n": "ERROR: no such package\nProcessing ./x",
		"1\n2\n3\n4\n5\n6\n": "2\n3\n4\n5\n6",
	} {
		if got := complaint(output); got != want {
			t.Errorf("complaint of %q is %q, want %q", output, got, want)
		}
	}
}
