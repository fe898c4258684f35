// Command enrich finds whose walk-in it is. The event source mapping of topic
// walk-ins calls it. A retry is given the same walk-ins, finds those that an
// earlier try stored, with the contact they got then, and produces them again.
package main

import (
	"os"

	"footfall/functions/internal/deps"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

func main() {
	os.Exit(deps.Run(pipeline.Enrich, func(d deps.Deps) {
		h := stage.NewEnrich(stage.EnrichDeps{Identities: d.Identities, Pending: d.Pending, Out: d.Out})
		d.Serve(h)
	}))
}
