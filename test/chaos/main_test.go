package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// together is how many systems are under test at once, unless -parallel says so:
// they wait most of the time, for what is confirmed and for what comes back.
const together = 4

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", fmt.Sprint(together)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
