// Command cost prints what a month of each size costs, as the Markdown tables of
// docs/deploy.md, from the prices in prices.go and the load in load.go. People
// run it: `go -C infra run ./cost`. It reads and writes nothing else.
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
