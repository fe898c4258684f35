// Command count counts how often each contact has come. The event source
// mapping of topic enriched-walk-ins calls it. A retry is given the same
// walk-ins; those that are counted add nothing, and the count is produced again.
package main

import (
	"os"

	"footfall/functions/internal/deps"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

func main() {
	os.Exit(deps.Run(pipeline.Count, func(d deps.Deps) {
		h := stage.NewCount(stage.CountDeps{Counts: d.Counts, Out: d.Out})
		d.Serve(h)
	}))
}
