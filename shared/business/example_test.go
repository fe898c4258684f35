package business_test

import (
	"fmt"
	"time"

	"footfall/shared/business"
)

// Planning a change of settings: the document names one threshold, and another
// revision was to begin after it.
func ExamplePlan() {
	now := time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)
	inForce, later := business.Defaults(), business.Defaults()
	later.Hold = -90
	stored := business.Stored{Revisions: business.History{
		{Settings: inForce},
		{Since: now.AddDate(0, 1, 0), Settings: later},
	}}

	doc, err := business.ReadDocument([]byte(`{"entry_dbm": -61}`), inForce)
	if err != nil {
		fmt.Println(err)
		return
	}
	change := business.Plan("cafe-1", stored, doc, business.Start{Since: business.Soonest(now)})
	for _, d := range change.RulesDiff {
		fmt.Println(d)
	}
	fmt.Println("rules hold from", change.Start.Since.Format(time.DateTime))
	fmt.Println("revisions dropped:", len(change.Dropped))
	fmt.Println("door written:", change.Door != nil)
	// change.Apply(ctx, store) stores it.

	// Output:
	// rules.entry_dbm: -70 -> -61
	// rules hold from 2026-11-21 12:03:00
	// revisions dropped: 1
	// door written: false
}
