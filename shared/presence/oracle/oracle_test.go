package oracle_test

import (
	"maps"
	"testing"
	"time"

	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at returns the moment so many minutes after noon.
func at(minutes int) presence.Instant {
	return presence.InstantOf(noon.Add(time.Duration(minutes) * time.Minute))
}

// strong returns strong sightings in minutes after noon.
func strong(minutes ...int) []presence.Sighting {
	var all []presence.Sighting
	for _, m := range minutes {
		all = append(all, presence.Sighting{SeenAt: at(m), RSSI: -60})
	}
	return all
}

// Visits does not depend on the order of the sightings: the rules apply in the order
// of their time. Only the last visit is open.
func TestVisitsDoNotDependOnTheOrderOfSightings(t *testing.T) {
	got := oracle.Visits(strong(50, 44, 6, 0), presence.DefaultRules())
	if len(got) != 2 || got[0].Start != at(0) || got[0].Last != at(6) || got[1].Start != at(44) || got[1].Last != at(50) {
		t.Errorf("got visits %+v, want 12:00 to 12:06 and 12:44 to 12:50", got)
	}
	if got[0].Open || !got[1].Open {
		t.Errorf("got open %v and %v, want false and true", got[0].Open, got[1].Open)
	}
}

// A sighting behind the watermark by more than the allowed lateness counts only
// inside an open visit.
func TestLateSightingsCountOnlyInAnOpenVisit(t *testing.T) {
	hear := func(s presence.Sighting) oracle.Record { return oracle.Record{Device: "b/d", Sighting: s} }
	var partition []oracle.Record
	for _, s := range strong(0, 6) {
		partition = append(partition, hear(s))
	}
	partition = append(partition,
		oracle.Record{Tick: at(30)},
		hear(strong(10)[0]), // late, within reach of the open visit
		hear(strong(40)[0]),
		oracle.Record{Tick: at(200)},
		hear(strong(100)[0]), hear(strong(106)[0]), // late, outside any visit
	)
	visits, late := oracle.PartitionVisits(partition, presence.DefaultRules())
	if late != 3 {
		t.Errorf("got %d late sightings, want 3", late)
	}
	if v := visits["b/d"]; len(v) != 1 || v[0].Last != at(40) {
		t.Errorf("got visits %+v, want one until 12:40", v)
	}
}

// Expected counts by the contact that the device was bound to at the start of each
// visit, whatever the order of the CRM events.
func TestExpectedCountsByContact(t *testing.T) {
	partition := []oracle.Record{}
	for _, s := range strong(0, 6, 60, 66, 120, 126) {
		partition = append(partition, oracle.Record{Device: "b/d", Sighting: s})
	}
	crm := []oracle.CRM{ // not in the order of their time
		{At: noon.Add(130 * time.Minute), Device: "b/d", Contact: "b/bob"},
		{At: noon.Add(-time.Hour), Device: "b/d", Contact: "b/ann"},
		{At: noon.Add(30 * time.Minute), Contact: "b/ann", Into: "b/anna"},
		{At: noon.Add(100 * time.Minute), Contact: "b/anna"},
	}
	var got oracle.Expected
	got.AddPartition(partition, crm, presence.DefaultRules())
	want := map[string]int{"b/ann": 1, "b/anna": 1, "b/bob": 1}
	if got.WalkIns != 3 || got.Enriched != 3 || !maps.Equal(got.Counts(), want) {
		t.Errorf("got %+v, want three walk-ins, attributed as in %v", got, want)
	}
}
