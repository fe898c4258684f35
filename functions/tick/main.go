// Command tick produces a tick with the time to every partition of topic
// sightings. A schedule calls it once a minute. A retry carries the same time and
// produces the same ticks again. The watermark of a partition is its latest tick,
// so a repeated tick changes nothing, and the tick of the next minute replaces a
// missed one.
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
