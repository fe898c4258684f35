// Command detect decides which devices are in the store. The event source mapping
// of topic sightings calls it with batches of sightings and ticks. A retry
// receives the records of a partition from the first undone record on. Records
// that the changelog already covers are skipped, and the walk-ins of the others
// are produced with the same ids as in an earlier attempt.
package main

import (
	"os"

	"footfall/functions/internal/deps"
	"footfall/shared/detect"
	"footfall/shared/pipeline"
)

func main() {
	os.Exit(deps.Run(pipeline.Detect, func(d deps.Deps) {
		h := detect.New(detect.Deps{
			Log: d.VisitLog, Topics: d.Topics, Out: d.Out, Rules: d.Businesses,
		})
		d.Serve(h)
	}))
}
