package presence_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// checks is how many cases a property is tried on where the command line does
// not say it. make check-faults says ten times as many, without the race detector.
const checks = 10_000

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", fmt.Sprint(checks)); err != nil {
		fmt.Fprintln(os.Stderr, "rapid has no such flag any more:", err)
		os.Exit(1)
	}
	flag.Parse() // the command line wins
	os.Exit(m.Run())
}
