// Command count counts how often each contact has come. The event source mapping
// of topic enriched-walk-ins calls it with batches of walk-ins. A retry receives
// the records of a partition from the first undone record on. A walk-in that an
// earlier attempt counted adds nothing, and its count is produced again.
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
