// Command identify binds devices to contacts. The event source mappings of topics
// crm-events and crm-events-backfill call it with logins and changes in the CRM,
// in the order of each business. A retry receives the records of a partition from
// the first undone record on, finds the bindings that an earlier attempt wrote,
// and produces the same records again, which changes nothing.
package main

import (
	"os"

	"footfall/functions/internal/deps"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

func main() {
	os.Exit(deps.Run(pipeline.Identify, func(d deps.Deps) {
		h := stage.NewIdentify(stage.IdentifyDeps{Identities: d.Identities, Pending: d.Pending, Out: d.Out})
		d.Serve(h)
	}))
}
