package presence_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// checks is how many drawn cases each property is tried on, unless the command line
// sets -rapid.checks. make check-faults sets ten times as many, without the race
// detector.
const checks = 10_000

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", fmt.Sprint(checks)); err != nil {
		fmt.Fprintln(os.Stderr, "set the number of drawn cases: rapid has no flag of this name any more:", err)
		os.Exit(1)
	}
	flag.Parse() // after Set, so that the command line decides
	os.Exit(m.Run())
}
