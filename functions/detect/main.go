// Command detect decides which devices are in the store. The event source
// mapping of topic sightings calls it with batches of sightings and ticks. A
// retry is given the records of a partition from its first undone one on;
// those that the visit log covers already are skipped, and the walk-ins of the
// others come out with the ids they would have had.
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
