// Command cost prints the monthly cost of each size as the Markdown tables of
// docs/deploy.md, from the prices in prices.go and the load in load.go. A maintainer
// runs it: `go -C infra run ./cost`. It reads and writes no files.
//
// Start with bill in bill.go, which returns the lines of one bill, and usageAt in
// usage.go, which returns what the lines are computed from.
package main

import (
	"fmt"
	"os"
)

func main() {
	if _, err := os.Stdout.WriteString(report()); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}
