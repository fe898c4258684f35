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

// before gives the first offset of each partition of a topic whose record is
// from a minute on or later.
func (w *world) before(topic string, minute int) map[int32]int64 {
	w.t.Helper()
	offsets := map[int32]int64{}
	for p := range int32(partitions) {
		s := w.span(topic, p)
		o, err := offsetAt(w.t.Context(), w.client, s, at(minute))
		if err != nil {
			w.t.Fatal(err)
		}
		offsets[p] = o
	}
	return offsets
}

// Where retention has dropped the beginning of sightings, or of the CRM topics,
// what was told is believed, and what follows is recounted.
func TestAuditPastRetention(t *testing.T) {
	for _, c := range []struct {
		name  string
		drop  func(w *world)
		plant func(w *world)
		want  string
		notes string
	}{
		{"nothing is wrong with sightings cut",
			func(w *world) { w.drop(events.Sightings, w.before(events.Sightings, -600)) },
			func(*world) {}, "", "sightings goes back to 2026-04-01T"},
		{"one too many before what is recounted is believed",
			func(w *world) { w.drop(events.Sightings, w.before(events.Sightings, -600)) },
			func(w *world) { w.count("ann", 300, w.tell("phone", "ann", 300)) }, "", "before that, walk-ins are those of enriched-walk-ins"},
		{"one that is told and not counted is found there too",
			func(w *world) { w.drop(events.Sightings, w.before(events.Sightings, -600)) },
			func(w *world) { w.tell("phone", "ann", 300) }, "ann 2026-03 table 3/2 -", "sightings goes back"},
		{"one too many behind it is found",
			func(w *world) { w.drop(events.Sightings, w.before(events.Sightings, -600)) },
			func(w *world) { w.count("ann", 2*day+300, w.tell("phone", "ann", 2*day+300)) }, "ann 2026-04 table 2/3 +", "sightings goes back"},
		{"sightings are gone altogether",
			func(w *world) { w.drop(events.Sightings, w.before(events.Sightings, 9*day)) },
			func(w *world) { w.tell("phone", "ann", 300) }, "ann 2026-03 table 3/2 -", "sightings goes back not far enough in every partition"},
		{"logins are gone",
			func(w *world) { w.drop(events.CRMEvents, w.before(events.CRMEvents, 0)) },
			func(*world) {}, "", ""},
		{"logins are gone, and a walk-in was told and not counted",
			func(w *world) { w.drop(events.CRMEvents, w.before(events.CRMEvents, 0)) },
			func(w *world) {
				w.hear("phone", 300, 303, 306)
				w.tell("phone", "ann", 300)
			}, "ann 2026-03 table 3/2 -", ""},
		{"walk-ins that were told are gone",
			func(w *world) { w.drop(events.EnrichedWalkIns, w.before(events.EnrichedWalkIns, 100)) },
			func(*world) {}, "", "what is before that is not compared"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := town(t)
			c.plant(w)
			w.play()
			c.drop(w)
			r, diff := w.audit(time.Time{}, time.Time{})
			if c.want == "" && diff != "" || !strings.HasPrefix(diff, c.want) {
				t.Errorf("differences\n%s\nwant\n%s", diff, c.want)
			}
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, c.notes) || (c.notes == "") != (notes == "") {
				t.Errorf("notes %q, want one with %q", notes, c.notes)
			}
		})
	}
}

// A device that has been in the store since before reading begins: what it did
// is not known, and what was told of it is believed, until it pauses.
func TestAuditOfADeviceThatNeverLeaves(t *testing.T) {
	w := town(t)
	w.login("till", "eve", at(-3*day), false)
	for m := -2 * day; m < 2*day; m += 9 {
		w.hear("till", m)
	}
	w.count("eve", -2*day, w.tell("till", "eve", -2*day))
	w.play()
	if _, diff := w.audit(time.Time{}, time.Time{}); diff != "" {
		t.Errorf("as a whole:\n%s", diff)
	}
	if _, diff := w.audit(at(0), time.Time{}); diff != "" {
		t.Errorf("from the middle on:\n%s", diff)
	}
}

// A login on a randomised address counts for 45 days without a visit. Whether
// there was one the CRM topics do not tell, so what was told is believed.
func TestAuditOfABindingThatMayHaveExpired(t *testing.T) {
	for name, told := range map[string]bool{"expired": false, "seen meanwhile": true} {
		w := town(t)
		w.login("watch", "eve", at(-46*day), true)
		w.visit("watch", 300)
		if told {
			w.count("eve", 300, w.tell("watch", "eve", 300))
		}
		w.play()
		if _, diff := w.audit(time.Time{}, time.Time{}); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// Visits at the end of the topic may not be told yet, and walk-ins that are told
// and counted while the audit is at work are no differences.
func TestAuditOfALiveSystem(t *testing.T) {
	w := town(t)
	w.visit("phone", 3*day-15) // the clock ends at 3 days
	w.play()
	if _, diff := w.audit(time.Time{}, time.Time{}); diff != "" {
		t.Errorf("a visit under way:\n%s", diff)
	}
	for name, meanwhile := range map[string]*tableWith{
		"right before the table is read": {world: w, before: func() { w.count("ann", 3*day-15, w.tell("phone", "ann", 3*day-15)) }},
		"right after":                    {world: w, after: func() { w.count("bob", 3*day-5, w.tell("tablet", "bob", 3*day-5)) }},
	} {
		r, err := Run(t.Context(), Options{Client: w.client, Rules: w.rules, Counts: meanwhile})
		if err != nil || len(r.Differences) != 0 {
			t.Errorf("counted %s: %+v (%v)", name, r, err)
		}
	}
}

// Timestamps may say nothing of event time, as in a replay: then a range is
// found all the same.
func TestAuditOfAReplay(t *testing.T) {
	for _, off := range []time.Duration{-300 * 24 * time.Hour, 300 * 24 * time.Hour} {
		w := newWorld(t)
		w.off = off
		settle(w)
		w.play()
		for _, c := range []struct {
			from, to time.Time
			expected int
		}{{noon, at(day), 2}, {at(2 * day), time.Time{}, 1}, {time.Time{}, noon, 1}} {
			r, diff := w.audit(c.from, c.to)
			if diff != "" || r.Expected != c.expected || len(r.Notes) != 0 {
				t.Errorf("off by %v, from %v to %v: %d expected, want %d; notes %q, differences\n%s", off, c.from, c.to, r.Expected, c.expected, r.Notes, diff)
			}
		}
	}
}

// What no client can read is left out, and that is said.
func TestAuditAroundADamagedBatch(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, kfake.DataDir(dir))
	settle(w)
	w.play()
	p := events.Partition([]byte("cafe/stranger"), partitions)
	if err := brokertest.Damage(dir, events.Sightings, p, w.offsetOf(events.Sightings, p)-1); err != nil {
		t.Fatal(err)
	}
	// Of a login that is a dead letter, nobody can read the letter.
	w.bury(events.CRMEvents, "cafe", &events.PortalLogin{Business: "cafe", Device: "watch", Contact: "eve", At: at(-1000)}, true)
	letters := w.offsetsOf(events.CRMEvents + "-dead-letters")
	if err := brokertest.Damage(dir, events.CRMEvents+"-dead-letters", letters.Partition, letters.From); err != nil {
		t.Fatal(err)
	}
	r, diff := w.audit(time.Time{}, time.Time{})
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

// offsetsOf is the one partition of a topic that holds anything.
func (w *world) offsetsOf(topic string) kafka.OffsetRange {
	w.t.Helper()
	for p := range int32(partitions) {
		if s := w.span(topic, p); s.Len() > 0 {
			return s
		}
	}
	w.t.Fatalf("%s holds nothing", topic)
	return kafka.OffsetRange{}
}

// tableWith lets something happen around the reading of the table.
type tableWith struct {
	*world
	before, after func()
}

func (t *tableWith) Each(ctx context.Context, each func(stage.CountKey, []stage.MonthCount) error) error {
	if t.before != nil {
		t.before()
	}
	err := t.counts.Each(ctx, each)
	if t.after != nil {
		t.after()
	}
	return err
}

func (w *world) span(topic string, p int32) kafka.OffsetRange {
	w.t.Helper()
	spans, err := kafka.ListOffsetRanges(w.t.Context(), w.client, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return spans[p]
}
