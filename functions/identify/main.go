// Command identify binds devices to contacts. The event source mappings of
// topics crm-events and crm-events-backfill call it with logins and changes in
// the CRM, those of a business in their order. A retry is given the records of
// a partition from its first undone one on, and finds the bindings that an
// earlier try wrote; telling them again changes nothing.
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
