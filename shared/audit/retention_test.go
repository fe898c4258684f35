package audit

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"footfall/events"
	"footfall/local/broker/brokertest"
	"footfall/shared/kafka"
	"footfall/shared/stage"
)

// offsetsFrom returns for each partition of a topic the first offset whose record is
// from minute or later.
func (f *fixture) offsetsFrom(topic string, minute int) map[int32]int64 {
	f.t.Helper()
	offsets := map[int32]int64{}
	for p := range int32(partitions) {
		s := f.heldRange(topic, p)
		o, err := offsetAt(f.t.Context(), f.client, s, afterNoon(minute))
		if err != nil {
			f.t.Fatal(err)
		}
		offsets[p] = o
	}
	return offsets
}

// Retention has dropped the beginning of a topic. Walk-ins of the dropped time are
// taken from enriched-walk-ins, and later ones are recounted.
func TestAuditAfterRetention(t *testing.T) {
	for _, c := range []struct {
		name  string
		drop  func(f *fixture)
		plant func(f *fixture)
		want  string
		notes string
	}{
		{"sightings dropped, no mistake",
			func(f *fixture) { f.drop(events.Sightings, f.offsetsFrom(events.Sightings, -600)) },
			func(*fixture) {}, "", "sightings can be recounted from 2026-04-01T"},
		{"sightings dropped, a walk-in too many before the recount is not found",
			func(f *fixture) { f.drop(events.Sightings, f.offsetsFrom(events.Sightings, -600)) },
			func(f *fixture) { f.count("ann", 300, f.produce("phone", "ann", 300)) }, "", "earlier walk-ins are taken from enriched-walk-ins"},
		{"sightings dropped, a walk-in not counted before the recount is found",
			func(f *fixture) { f.drop(events.Sightings, f.offsetsFrom(events.Sightings, -600)) },
			func(f *fixture) { f.produce("phone", "ann", 300) }, "ann 2026-03 table 3/2 -", "sightings can be recounted"},
		{"sightings dropped, a walk-in too many after that is found",
			func(f *fixture) { f.drop(events.Sightings, f.offsetsFrom(events.Sightings, -600)) },
			func(f *fixture) { f.count("ann", 2*day+300, f.produce("phone", "ann", 2*day+300)) }, "ann 2026-04 table 2/3 +", "sightings can be recounted"},
		{"all sightings dropped, a walk-in not counted is found",
			func(f *fixture) { f.drop(events.Sightings, f.offsetsFrom(events.Sightings, 9*day)) },
			func(f *fixture) { f.produce("phone", "ann", 300) }, "ann 2026-03 table 3/2 -", "sightings cannot be recounted in at least one partition"},
		{"logins dropped, no mistake",
			func(f *fixture) { f.drop(events.CRMEvents, f.offsetsFrom(events.CRMEvents, 0)) },
			func(*fixture) {}, "", ""},
		{"logins dropped, a walk-in not counted is found",
			func(f *fixture) { f.drop(events.CRMEvents, f.offsetsFrom(events.CRMEvents, 0)) },
			func(f *fixture) {
				f.hear("phone", 300, 303, 306)
				f.produce("phone", "ann", 300)
			}, "ann 2026-03 table 3/2 -", ""},
		{"enriched walk-ins dropped, no mistake",
			func(f *fixture) { f.drop(events.EnrichedWalkIns, f.offsetsFrom(events.EnrichedWalkIns, 100)) },
			func(*fixture) {}, "", "earlier walk-ins are not compared"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			c.plant(f)
			f.produceSightings()
			c.drop(f)
			r, diff := f.audit(time.Time{}, time.Time{})
			if c.want == "" && diff != "" || !strings.HasPrefix(diff, c.want) {
				t.Errorf("differences\n%s\nwant\n%s", diff, c.want)
			}
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, c.notes) || (c.notes == "") != (notes == "") {
				t.Errorf("notes %q, want one with %q", notes, c.notes)
			}
		})
	}
}

// A device was in the store before the reading begins and never pauses. Its walk-ins
// are taken from enriched-walk-ins until its first pause.
func TestAuditOfADeviceThatNeverLeaves(t *testing.T) {
	f := healthy(t)
	f.login("till", "eve", afterNoon(-3*day), false)
	for m := -2 * day; m < 2*day; m += 9 {
		f.hear("till", m)
	}
	f.count("eve", -2*day, f.produce("till", "eve", -2*day))
	f.produceSightings()
	if _, diff := f.audit(time.Time{}, time.Time{}); diff != "" {
		t.Errorf("as a whole:\n%s", diff)
	}
	if _, diff := f.audit(afterNoon(0), time.Time{}); diff != "" {
		t.Errorf("from the middle on:\n%s", diff)
	}
}

// The login of a randomised address expires after 45 days in which the device was
// not seen. The CRM topics do not hold whether it was seen, so the contact is
// uncertain, and the walk-in is taken from enriched-walk-ins.
func TestAuditOfABindingThatMayHaveExpired(t *testing.T) {
	for name, produced := range map[string]bool{"expired": false, "seen meanwhile": true} {
		f := healthy(t)
		f.login("watch", "eve", afterNoon(-46*day), true)
		f.visit("watch", 300)
		if produced {
			f.count("eve", 300, f.produce("watch", "eve", 300))
		}
		f.produceSightings()
		if _, diff := f.audit(time.Time{}, time.Time{}); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// On a live system there is no difference: visits at the end of sightings may not be
// produced yet, and walk-ins may be produced and counted while the audit is reading.
func TestAuditOfALiveSystem(t *testing.T) {
	f := healthy(t)
	f.visit("phone", 3*day-15) // the watermark ends at 3 days
	f.produceSightings()
	if _, diff := f.audit(time.Time{}, time.Time{}); diff != "" {
		t.Errorf("a visit that goes on: differences\n%s", diff)
	}
	for name, meanwhile := range map[string]*hookedTable{
		"right before the table is read": {fixture: f, before: func() { f.count("ann", 3*day-15, f.produce("phone", "ann", 3*day-15)) }},
		"right after":                    {fixture: f, after: func() { f.count("bob", 3*day-5, f.produce("tablet", "bob", 3*day-5)) }},
	} {
		r, err := Run(t.Context(), Options{Client: f.client, Rules: f.rules, Counts: meanwhile})
		if err != nil || len(r.Differences) != 0 {
			t.Errorf("counted %s: report %+v (%v), want no difference", name, r, err)
		}
	}
}

// After a replay of recordings, the timestamps of records differ from event time by
// months. The audit of a range finds the range all the same.
func TestAuditOfAReplay(t *testing.T) {
	for _, shift := range []time.Duration{-300 * 24 * time.Hour, 300 * 24 * time.Hour} {
		f := newFixture(t)
		f.shift = shift
		addHealthyHistory(f)
		f.produceSightings()
		for _, c := range []struct {
			from, to time.Time
			expected int
		}{{noon, afterNoon(day), 2}, {afterNoon(2 * day), time.Time{}, 1}, {time.Time{}, noon, 1}} {
			r, diff := f.audit(c.from, c.to)
			if diff != "" || r.Expected != c.expected || len(r.Notes) != 0 {
				t.Errorf("timestamps shifted by %v, from %v to %v: %d expected, want %d; notes %q, differences\n%s", shift, c.from, c.to, r.Expected, c.expected, r.Notes, diff)
			}
		}
	}
}

// Records that no client can read are left out, and the report notes each range.
func TestAuditAroundADamagedBatch(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, kfake.DataDir(dir))
	addHealthyHistory(f)
	f.produceSightings()
	p := events.Partition([]byte("cafe/guest"), partitions)
	if err := brokertest.Damage(dir, events.Sightings, p, f.lastOffset(events.Sightings, p)-1); err != nil {
		t.Fatal(err)
	}
	// Damage the dead letter of a login too.
	f.putDeadLetter(events.CRMEvents, "cafe", &events.PortalLogin{Business: "cafe", Device: "watch", Contact: "eve", At: afterNoon(-1000)}, true)
	dead := f.filledRange(events.CRMEvents + "-dead-letters")
	if err := brokertest.Damage(dir, events.CRMEvents+"-dead-letters", dead.Partition, dead.From); err != nil {
		t.Fatal(err)
	}
	r, diff := f.audit(time.Time{}, time.Time{})
	notes := strings.Join(r.Notes, "\n")
	for _, topic := range []string{events.Sightings, events.CRMEvents + "-dead-letters"} {
		if !strings.Contains(notes, topic+"/") {
			t.Errorf("notes %q do not name %s", notes, topic)
		}
	}
	if diff != "" || strings.Count(notes, "cannot be read and are left out: encoded crc") != 2 {
		t.Errorf("notes %q, differences\n%s", notes, diff)
	}
}

// filledRange returns the range of the one partition of a topic that holds records.
func (f *fixture) filledRange(topic string) kafka.OffsetRange {
	f.t.Helper()
	for p := range int32(partitions) {
		if s := f.heldRange(topic, p); s.Len() > 0 {
			return s
		}
	}
	f.t.Fatalf("topic %s holds no records", topic)
	return kafka.OffsetRange{}
}

// hookedTable calls before and after around the reading of the table.
type hookedTable struct {
	*fixture
	before, after func()
}

// Each implements Table.
func (t *hookedTable) Each(ctx context.Context, each func(stage.CountKey, []stage.MonthCount) error) error {
	if t.before != nil {
		t.before()
	}
	err := t.counts.Each(ctx, each)
	if t.after != nil {
		t.after()
	}
	return err
}

// heldRange returns the range of offsets that a partition holds.
func (f *fixture) heldRange(topic string, p int32) kafka.OffsetRange {
	f.t.Helper()
	spans, err := kafka.ListOffsetRanges(f.t.Context(), f.client, topic)
	if err != nil {
		f.t.Fatal(err)
	}
	return spans[p]
}
