package audit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

const day = 24 * 60 // minutes

// healthy returns a fixture without differences: ann's phone visits on four days
// around the end of a month, bob's tablet visits once before its login, and a device
// without a contact visits once.
func healthy(t *testing.T) *fixture {
	f := newFixture(t)
	addHealthyHistory(f)
	return f
}

// addHealthyHistory adds the visits that healthy describes.
func addHealthyHistory(f *fixture) {
	f.t.Helper()
	f.login("phone", "ann", afterNoon(-3*day), false)
	f.login("tablet", "bob", afterNoon(65), false)
	f.tick(-2*day, 3*day)
	for _, minute := range []int{-day, 0, day, 2 * day} {
		f.visitAndCount("phone", "ann", minute)
	}
	f.visitAndCount("tablet", "bob", 60)
	f.visit("guest", 100)
}

// An audit of a healthy pipeline finds no difference, for any range. A range may
// begin or end in the middle of a visit or of a month.
func TestAuditOfAHealthyPipeline(t *testing.T) {
	f := healthy(t)
	f.produceSightings()
	for _, c := range []struct {
		name     string
		from, to time.Time
		expected int
	}{
		{"everything", time.Time{}, time.Time{}, 5},
		{"from noon on", noon, time.Time{}, 4},
		{"until noon", time.Time{}, noon, 1},
		{"a day", noon, afterNoon(day), 2},
		{"from the middle of a visit", afterNoon(4), afterNoon(day), 1},
		{"until the middle of a visit", afterNoon(-day), afterNoon(4), 2},
		{"a month", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), 2},
		{"a time without visits", afterNoon(200), afterNoon(300), 0},
	} {
		r, diff := f.audit(c.from, c.to)
		if diff != "" || r.Expected != c.expected || r.Counted != c.expected || len(r.Notes) != 0 {
			t.Errorf("%s: %d expected, %d counted, want %d; notes %q, differences\n%s", c.name, r.Expected, r.Counted, c.expected, r.Notes, diff)
		}
	}
}

// Each case adds one mistake to a healthy pipeline, and the audit finds exactly that
// mistake. The last cases add no mistake.
func TestAuditFinds(t *testing.T) {
	id := func(device events.DeviceID, minute int) string {
		return string(events.NewWalkInID("cafe", device, afterNoon(minute))[:4])
	}
	cases := []struct {
		name  string
		plant func(f *fixture)
		want  string
	}{
		{"a walk-in that was produced and not counted", func(f *fixture) {
			f.visit("phone", 300)
			f.produce("phone", "ann", 300)
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (produced on enriched-walk-ins, but not counted)"},
		{"a walk-in that was lost before it was produced", func(f *fixture) { f.visit("phone", 300) },
			"ann 2026-03 table 3/2 -" + id("phone", 300) + " (not produced on enriched-walk-ins)"},
		{"a walk-in that is a dead letter", func(f *fixture) {
			f.visit("phone", 300)
			value, _ := events.Encode(nil, &events.WalkIn{
				ID: events.NewWalkInID("cafe", "phone", afterNoon(300)), Business: "cafe", Device: "phone", StartedAt: afterNoon(300), ConfirmedAt: afterNoon(306),
			})
			f.put("walk-ins-dead-letters", "cafe/phone", afterNoon(300), value)
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (its record is the dead letter walk-ins-dead-letters/"},
		{"a counted walk-in without a visit", func(f *fixture) {
			f.count("ann", 300, f.produce("phone", "ann", 300))
		}, "ann 2026-03 table 2/3 +" + id("phone", 300) + " (the sightings contain no such walk-in)"},
		{"a counted id that is on no topic", func(f *fixture) { f.count("ann", 300, "abcdef") },
			"ann 2026-03 table 2/3 +abcd (no topic holds this walk-in)"},
		{"a visit counted under two ids", func(f *fixture) {
			f.visitAndCount("phone", "ann", 300)
			f.count("ann", 300, f.produce("phone", "ann", 301))
		}, "ann 2026-03 table 3/4 +" + id("phone", 301) + " (the sightings contain no such walk-in)"},
		{"a walk-in produced and counted for another contact", func(f *fixture) { f.visitAndCount("phone", "bob", 300) },
			"ann 2026-03 table 3/2 -" + id("phone", 300) + " (produced on enriched-walk-ins, but not counted)\n" +
				"bob 2026-03 table 1/2 +" + id("phone", 300) + " (by the CRM events it belongs to another contact)"},
		{"a walk-in produced for one contact and counted for another", func(f *fixture) {
			f.visit("phone", 300)
			f.count("bob", 300, f.produce("phone", "ann", 300))
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (produced on enriched-walk-ins, but not counted)\n" +
			"bob 2026-03 table 1/2 +" + id("phone", 300) + " (produced as a walk-in of ann)"},
		{"a walk-in of an unattributed device", func(f *fixture) { f.visitAndCount("guest", "ann", 300) },
			"ann 2026-03 table 2/3 +" + id("guest", 300) + " (by the CRM events its device is unattributed)"},
		{"a walk-in counted in the wrong month", func(f *fixture) {
			f.visit("phone", 300)
			f.count("ann", 2*day, f.produce("phone", "ann", 300))
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (produced on enriched-walk-ins, but not counted)\n" +
			"ann 2026-04 table 2/3 +" + id("phone", 300) + " (belongs to month 2026-03)"},
		{"a contact without any count", func(f *fixture) {
			f.login("watch", "eve", afterNoon(-100), false)
			f.visit("watch", 300)
		}, "eve 2026-03 table 1/0 -" + id("watch", 300) + " (not produced on enriched-walk-ins)"},
		{"a wrong total on the topic", func(f *fixture) { f.total("bob", 400, 7) }, "bob  topic 1/7"},
		{"a total that was not produced", func(f *fixture) {
			f.visit("phone", 300)
			key := stage.CountKey{Business: "cafe", Contact: "ann"}
			if err := f.counts.Add(f.t.Context(), key, "2026-03", f.facts(300, f.produce("phone", "ann", 300))); err != nil {
				f.t.Fatal(err)
			}
		}, "ann  topic 5/4"},
		{"a base count that was not produced", func(f *fixture) {
			if err := f.counts.SetBase(f.t.Context(), stage.CountKey{Business: "cafe", Contact: "eve"}, 7, 0); err != nil {
				f.t.Fatal(err)
			}
		}, "eve  topic 7/0"},
		{"a total on the topic without a count in the table", func(f *fixture) { f.total("eve", 400, 3) }, "eve  topic 0/3"},
		{"two devices at the same time, one counted with the device of the other", func(f *fixture) {
			f.login("watch", "ann", afterNoon(-100), false)
			f.visitAndCount("phone", "ann", 300)
			f.visit("watch", 304)
			id := f.produce("watch", "ann", 304)
			f.countFacts("ann", 304, presence.Began(string(id), "phone", afterNoon(304)))
		}, "ann 2026-03 total 3/4"},
		{"a device after another, whose visit has no end in the table", func(f *fixture) {
			f.login("watch", "ann", afterNoon(-100), false)
			f.visit("phone", 300)
			id := f.produce("phone", "ann", 300)
			f.countFacts("ann", 300, presence.Began(string(id), "phone", afterNoon(300)))
			f.visitAndCount("watch", "ann", 320)
		}, "ann 2026-03 total 4/3"},
		// These cases have no difference.
		{"two devices at the same time, which count once", func(f *fixture) {
			f.login("watch", "ann", afterNoon(-100), false)
			f.visitAndCount("watch", "ann", 304)
			f.visitAndCount("phone", "ann", 300)
		}, ""},
		{"two devices that an earlier version has counted twice", func(f *fixture) {
			f.login("watch", "ann", afterNoon(-100), false)
			f.visit("phone", 300)
			f.visit("watch", 304)
			f.countFacts("ann", 300, presence.Fact{Visit: string(f.produce("phone", "ann", 300))}, presence.Fact{Visit: string(f.produce("watch", "ann", 304))})
			f.count("ann", 304, f.produce("phone", "ann", 300))
		}, ""},
		{"a walk-in produced with a start one step off", func(f *fixture) {
			f.visit("phone", 300)
			f.count("ann", 300, f.produce("phone", "ann", 301))
		}, ""},
		{"a sighting that is a dead letter", func(f *fixture) {
			f.putDeadLetter(events.Sightings, "cafe/phone", &events.Sighting{
				Business: "cafe", Sensor: "door", Device: "phone", RSSI: -60, SeenAt: afterNoon(-day - 400), Associated: true,
			}, true)
		}, ""},
		{"a login that is a dead letter", func(f *fixture) {
			f.putDeadLetter(events.CRMEvents, "cafe", &events.PortalLogin{Business: "cafe", Device: "guest", Contact: "eve", At: afterNoon(-1000)}, true)
		}, ""},
		{"a login at the offset of a dead letter from before the topic was created again", func(f *fixture) {
			f.putDeadLetter(events.CRMEvents, "cafe", &events.PortalLogin{Business: "cafe", Device: "guest", Contact: "eve", At: afterNoon(-1000)}, false)
		}, "eve 2026-03 table 1/0 -" + id("guest", 100) + " (not produced on enriched-walk-ins)"},
		{"a base count that was produced with the total", func(f *fixture) {
			if err := f.counts.SetBase(f.t.Context(), stage.CountKey{Business: "cafe", Contact: "bob"}, 10, 0); err != nil {
				f.t.Fatal(err)
			}
			f.total("bob", 400, 11)
		}, ""},
		{"records that cannot be decoded", func(f *fixture) {
			f.put(events.Sightings, "cafe/phone", afterNoon(10), []byte("x"))
			f.put(events.CRMEvents, "cafe", afterNoon(10), []byte("x"))
			f.put(events.EnrichedWalkIns, "cafe/ann", afterNoon(10), []byte("x"))
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			c.plant(f)
			f.produceSightings()
			_, diff := f.audit(time.Time{}, time.Time{})
			// The partition of a dead letter does not matter.
			if diff != c.want && !(strings.HasSuffix(c.want, "/") && strings.HasPrefix(diff, c.want)) {
				t.Errorf("differences\n%s\nwant\n%s", diff, c.want)
			}
		})
	}
}

// putDeadLetter produces a record and a dead letter with its position: the dead
// letter of the record if same is set, otherwise of another record that was at the
// position before the topic was created again.
func (f *fixture) putDeadLetter(topic, key string, event any, same bool) {
	f.t.Helper()
	value, err := events.Encode(nil, event)
	if err != nil {
		f.t.Fatal(err)
	}
	f.putTo(topic, 0, key, afterNoon(-day-1000), value)
	from := stage.Record{Topic: topic, Partition: 0, Offset: f.lastOffset(topic, 0), Key: []byte(key), Value: value}
	if !same {
		from.Value = []byte("another one")
	}
	letter := stage.DeadLetter("x", &from, events.Undecodable, errors.New("x"))
	f.put(letter.Topic, key, afterNoon(0), letter.Value, letter.Headers...)
}

// lastOffset returns the offset of the last record of a partition.
func (f *fixture) lastOffset(topic string, p int32) int64 { return f.heldRange(topic, p).To - 1 }

// An audit of a range reports no difference outside the range.
func TestAuditOfARangeIgnoresOtherTimes(t *testing.T) {
	f := healthy(t)
	f.visit("phone", 300)
	f.produce("phone", "ann", 300)
	f.count("ann", 400, f.produce("phone", "ann", 400))
	f.produceSightings()
	for _, c := range []struct {
		from, to int
		want     string
	}{
		{-day, 299, ""},
		{299, 301, "3/2"},
		{301, 399, ""},
		{399, 500, "+"},
		{500, day, ""},
	} {
		_, diff := f.audit(afterNoon(c.from), afterNoon(c.to))
		if (c.want == "") != (diff == "") {
			t.Errorf("minutes %d to %d: differences %q, want some: %t", c.from, c.to, diff, c.want != "")
		}
	}
}

// Companions are those of the range: a table holds counts of whole months.
func TestCompanionsOfARange(t *testing.T) {
	f := newFixture(t)
	f.login("phone", "ann", afterNoon(-3*day), false)
	f.login("tablet", "ann", afterNoon(-3*day), false)
	f.tick(-2*day, 2*day)
	for _, minute := range []int{0, day / 4} {
		f.visitAndCount("phone", "ann", minute)
		f.visitAndCount("tablet", "ann", minute+2)
	}
	f.produceSightings()
	for _, c := range []struct{ from, to, counted, companions int }{
		{-day, day, 4, 2}, {-60, 60, 2, 1}, {60, day, 2, 1}, {1, 60, 1, 1}, {-60, 1, 1, 0}, {60, 120, 0, 0},
	} {
		r, diff := f.audit(afterNoon(c.from), afterNoon(c.to))
		if r.Counted != c.counted || r.Companions != c.companions || diff != "" {
			t.Errorf("minutes %d to %d: %d counted, %d of them companions, want %d and %d; differences %q",
				c.from, c.to, r.Counted, r.Companions, c.counted, c.companions, diff)
		}
	}
}

// An audit fails if a count on the topic cannot be decoded, or the table cannot be
// read.
func TestAuditFails(t *testing.T) {
	f := healthy(t)
	f.put(events.WalkInCounts, "cafe/ann", noon, []byte("nonsense"))
	f.produceSightings()
	_, err := Run(t.Context(), Options{Client: f.client, Rules: f.rules, Counts: f.counts})
	if err == nil || !strings.Contains(err.Error(), "audit: decode walk-in-counts/") {
		t.Errorf("a count that cannot be decoded: error %v", err)
	}
	f = healthy(t)
	failure := errors.New("table down")
	_, err = Run(t.Context(), Options{Client: f.client, Rules: f.rules, Counts: brokenTable{failure}})
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}

// brokenTable is a Table that fails.
type brokenTable struct{ err error }

func (b brokenTable) Each(context.Context, func(stage.CountKey, []stage.MonthCount) error) error {
	return b.err
}
