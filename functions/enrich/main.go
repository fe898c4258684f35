// Command enrich attributes walk-ins to contacts. The event source mappings of
// topics walk-ins and visits-ended call it with batches of records. A retry
// receives the records of a partition from the first undone record on, keeps the
// contacts that an earlier attempt stored, and produces the walk-ins again.
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
