package stage_test

import (
	"fmt"
	"slices"
	"testing"

	"footfall/events"
	"footfall/shared/stage/stagetest"
)

// Each walk-in renews the binding of a randomised address for those after it, however
// the batches are cut, and whether the login is processed before or after them.
func TestWalkInsRenewABinding(t *testing.T) {
	for name, c := range map[string]struct {
		days []int // of the walk-ins; the login is on day 0
		want int   // walk-ins that are attributed, the first ones
	}{
		"each within 45 days of the one before":       {[]int{10, 30, 50, 90}, 4},
		"a pause of more than 45 days":                {[]int{10, 30, 80, 90}, 2},
		"more than 45 days after the login":           {[]int{46, 50}, 0},
		"within 45 days of the login, and much later": {[]int{44, 89, 94}, 3},
	} {
		for _, order := range []string{"one batch", "single walk-ins", "the login last"} {
			t.Run(fmt.Sprintf("%s/%s", name, order), func(t *testing.T) {
				f := newFixture()
				first := login("phone", "ann", noon)
				first.Randomised = true
				logins := crmEvents(t, events.CRMEventsBackfill, first)
				visits := &stagetest.Partition{Topic: events.WalkIns}
				for _, d := range c.days {
					one := walkInOf(t, "phone", noon.AddDate(0, 0, d)).Records[0]
					visits.PutRaw(one.Key, one.Value)
				}
				if order != "the login last" {
					handleAll(t, f.identify(), logins)
				}
				size := len(visits.Records)
				if order == "single walk-ins" {
					size = 1
				}
				for batch := range slices.Chunk(visits.Records, size) {
					handleAll(t, f.enrich(), &stagetest.Partition{Topic: events.WalkIns, Records: batch})
				}
				if order == "the login last" {
					handleAll(t, f.identify(), logins)
				}
				if got := f.enriched(t); len(got) != c.want {
					t.Errorf("got %d enriched walk-ins, want %d", len(got), c.want)
				}
			})
		}
	}
}
