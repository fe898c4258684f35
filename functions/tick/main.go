// Command tick tells every partition of topic sightings the time. A schedule
// calls it once a minute. A retry carries the same time and puts the same ticks
// on the topic once more; a partition's clock is its latest tick, so that
// changes nothing. A minute that is missed is made up for by the next.
package main

import (
	"os"

	"footfall/functions/internal/deps"
	"footfall/shared/lambdarun"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

func main() {
	os.Exit(deps.Run(pipeline.Tick, func(d deps.Deps) {
		t := stage.NewTick(stage.TickDeps{Topics: d.Topics, Out: d.Out})
		lambdarun.StartSchedule(pipeline.Tick, t.Tick, d.Log)
	}))
}
