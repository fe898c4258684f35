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

// town is a healthy world: ann's phone comes on four days around the end of a
// month, bob's tablet once, before he logs in, and a stranger.
func town(t *testing.T) *world {
	w := newWorld(t)
	settle(w)
	return w
}

// settle makes a world what town says.
func settle(w *world) {
	w.t.Helper()
	w.login("phone", "ann", at(-3*day), false)
	w.login("tablet", "bob", at(65), false)
	w.tick(-2*day, 3*day)
	for _, minute := range []int{-day, 0, day, 2 * day} {
		w.happen("phone", "ann", minute)
	}
	w.happen("tablet", "bob", 60)
	w.visit("stranger", 100)
}

func TestAuditOfAHealthyWorld(t *testing.T) {
	w := town(t)
	w.play()
	// Whatever is asked for is equal, also where the range begins and ends in the
	// middle of a visit or of a month.
	for _, c := range []struct {
		name     string
		from, to time.Time
		expected int
	}{
		{"everything", time.Time{}, time.Time{}, 5},
		{"from noon on", noon, time.Time{}, 4},
		{"until noon", time.Time{}, noon, 1},
		{"a day", noon, at(day), 2},
		{"from the middle of a visit", at(4), at(day), 1},
		{"until the middle of a visit", at(-day), at(4), 2},
		{"a month", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), 2},
		{"a time when nobody came", at(200), at(300), 0},
	} {
		r, diff := w.audit(c.from, c.to)
		if diff != "" || r.Expected != c.expected || r.Counted != c.expected || len(r.Notes) != 0 {
			t.Errorf("%s: %d expected, %d counted, want %d; notes %q, differences\n%s", c.name, r.Expected, r.Counted, c.expected, r.Notes, diff)
		}
	}
}

func TestAuditFinds(t *testing.T) {
	id := func(device events.DeviceID, minute int) string {
		return string(events.NewWalkInID("cafe", device, at(minute))[:4])
	}
	cases := []struct {
		name  string
		plant func(w *world)
		want  string
	}{
		{"a walk-in that was told and not counted", func(w *world) {
			w.visit("phone", 300)
			w.tell("phone", "ann", 300)
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (it was told, and is not counted)"},
		{"one that was lost before it was told", func(w *world) { w.visit("phone", 300) },
			"ann 2026-03 table 3/2 -" + id("phone", 300) + " (it was never told on enriched-walk-ins)"},
		{"one that is a dead letter", func(w *world) {
			w.visit("phone", 300)
			value, _ := events.Encode(nil, &events.WalkIn{
				ID: events.NewWalkInID("cafe", "phone", at(300)), Business: "cafe", Device: "phone", StartedAt: at(300), ConfirmedAt: at(306),
			})
			w.put("walk-ins-dead-letters", "cafe/phone", at(300), value)
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (it is the dead letter walk-ins-dead-letters/"},
		{"one that nobody came for", func(w *world) {
			w.count("ann", 300, w.tell("phone", "ann", 300))
		}, "ann 2026-03 table 2/3 +" + id("phone", 300) + " (the sightings tell of no such walk-in)"},
		{"one that no topic knows", func(w *world) { w.count("ann", 300, "abcdef") },
			"ann 2026-03 table 2/3 +abcd (no topic tells of it)"},
		{"one counted twice, under two ids", func(w *world) {
			w.happen("phone", "ann", 300)
			w.count("ann", 300, w.tell("phone", "ann", 301))
		}, "ann 2026-03 table 3/4 +" + id("phone", 301) + " (the sightings tell of no such walk-in)"},
		{"one of somebody else", func(w *world) { w.happen("phone", "bob", 300) },
			"ann 2026-03 table 3/2 -" + id("phone", 300) + " (it was told, and is not counted)\n" +
				"bob 2026-03 table 1/2 +" + id("phone", 300) + " (by the CRM events it is somebody else's)"},
		{"one told of one and counted for another", func(w *world) {
			w.visit("phone", 300)
			w.count("bob", 300, w.tell("phone", "ann", 300))
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (it was told, and is not counted)\n" +
			"bob 2026-03 table 1/2 +" + id("phone", 300) + " (it was told as one of ann)"},
		{"one of nobody", func(w *world) { w.happen("stranger", "ann", 300) },
			"ann 2026-03 table 2/3 +" + id("stranger", 300) + " (by the CRM events it is nobody's)"},
		{"one in the wrong month", func(w *world) {
			w.visit("phone", 300)
			w.count("ann", 2*day, w.tell("phone", "ann", 300))
		}, "ann 2026-03 table 3/2 -" + id("phone", 300) + " (it was told, and is not counted)\n" +
			"ann 2026-04 table 2/3 +" + id("phone", 300) + " (it is one of 2026-03)"},
		{"a contact whose whole count is gone", func(w *world) {
			w.login("watch", "eve", at(-100), false)
			w.visit("watch", 300)
		}, "eve 2026-03 table 1/0 -" + id("watch", 300) + " (it was never told on enriched-walk-ins)"},
		{"a total that was told wrong", func(w *world) { w.total("bob", 400, 7) }, "bob  topic 1/7"},
		{"a total that was not told", func(w *world) {
			w.visit("phone", 300)
			key := stage.CountKey{Business: "cafe", Contact: "ann"}
			if err := w.counts.Add(w.t.Context(), key, "2026-03", w.facts(300, w.tell("phone", "ann", 300))); err != nil {
				w.t.Fatal(err)
			}
		}, "ann  topic 5/4"},
		{"a base count that was never told", func(w *world) {
			if err := w.counts.SetBase(w.t.Context(), stage.CountKey{Business: "cafe", Contact: "eve"}, 7, 0); err != nil {
				w.t.Fatal(err)
			}
		}, "eve  topic 7/0"},
		{"a total of which the table knows nothing", func(w *world) { w.total("eve", 400, 3) }, "eve  topic 0/3"},
		{"two devices at once, of which one is counted by another device", func(w *world) {
			w.login("watch", "ann", at(-100), false)
			w.happen("phone", "ann", 300)
			w.visit("watch", 304)
			id := w.tell("watch", "ann", 304)
			w.countFacts("ann", 304, presence.Began(string(id), "phone", at(304)))
		}, "ann 2026-03 total 3/4"},
		{"one device after another, of which the first never ended", func(w *world) {
			w.login("watch", "ann", at(-100), false)
			w.visit("phone", 300)
			id := w.tell("phone", "ann", 300)
			w.countFacts("ann", 300, presence.Began(string(id), "phone", at(300)))
			w.happen("watch", "ann", 320)
		}, "ann 2026-03 total 4/3"},
		// What is right, although it looks odd.
		{"two devices at once", func(w *world) {
			w.login("watch", "ann", at(-100), false)
			w.happen("watch", "ann", 304)
			w.happen("phone", "ann", 300)
		}, ""},
		{"two devices that the version before has counted twice", func(w *world) {
			w.login("watch", "ann", at(-100), false)
			w.visit("phone", 300)
			w.visit("watch", 304)
			w.countFacts("ann", 300, presence.Fact{Visit: string(w.tell("phone", "ann", 300))}, presence.Fact{Visit: string(w.tell("watch", "ann", 304))})
			w.count("ann", 304, w.tell("phone", "ann", 300))
		}, ""},
		{"a walk-in told with a start a step off", func(w *world) {
			w.visit("phone", 300)
			w.count("ann", 300, w.tell("phone", "ann", 301))
		}, ""},
		{"a sighting that is a dead letter", func(w *world) {
			w.bury(events.Sightings, "cafe/phone", &events.Sighting{
				Business: "cafe", Sensor: "door", Device: "phone", RSSI: -60, SeenAt: at(-day - 400), Associated: true,
			}, true)
		}, ""},
		{"a login that is a dead letter", func(w *world) {
			w.bury(events.CRMEvents, "cafe", &events.PortalLogin{Business: "cafe", Device: "stranger", Contact: "eve", At: at(-1000)}, true)
		}, ""},
		{"a login where another one was a dead letter before the topic was made anew", func(w *world) {
			w.bury(events.CRMEvents, "cafe", &events.PortalLogin{Business: "cafe", Device: "stranger", Contact: "eve", At: at(-1000)}, false)
		}, "eve 2026-03 table 1/0 -" + id("stranger", 100) + " (it was never told on enriched-walk-ins)"},
		{"a base count that was told with the total", func(w *world) {
			if err := w.counts.SetBase(w.t.Context(), stage.CountKey{Business: "cafe", Contact: "bob"}, 10, 0); err != nil {
				w.t.Fatal(err)
			}
			w.total("bob", 400, 11)
		}, ""},
		{"records that nobody can decode", func(w *world) {
			w.put(events.Sightings, "cafe/phone", at(10), []byte("x"))
			w.put(events.CRMEvents, "cafe", at(10), []byte("x"))
			w.put(events.EnrichedWalkIns, "cafe/ann", at(10), []byte("x"))
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := town(t)
			c.plant(w)
			w.play()
			_, diff := w.audit(time.Time{}, time.Time{})
			// Which partition a dead letter lies in is not the point.
			if diff != c.want && !(strings.HasSuffix(c.want, "/") && strings.HasPrefix(diff, c.want)) {
				t.Errorf("differences\n%s\nwant\n%s", diff, c.want)
			}
		})
	}
}

// bury puts a record on a topic, and a dead letter of it, or of another one that
// was there.
func (w *world) bury(topic, key string, event any, same bool) {
	w.t.Helper()
	value, err := events.Encode(nil, event)
	if err != nil {
		w.t.Fatal(err)
	}
	w.putTo(topic, 0, key, at(-day-1000), value)
	from := stage.Record{Topic: topic, Partition: 0, Offset: w.offsetOf(topic, 0), Key: []byte(key), Value: value}
	if !same {
		from.Value = []byte("another one")
	}
	letter := stage.DeadLetter("x", &from, events.Undecodable, errors.New("x"))
	w.put(letter.Topic, key, at(0), letter.Value, letter.Headers...)
}

// offsetOf is that of the last record of a partition.
func (w *world) offsetOf(topic string, p int32) int64 { return w.span(topic, p).To - 1 }

// An id that is missing outside of the range is not asked for.
func TestAuditOfARangeLooksAtNothingElse(t *testing.T) {
	w := town(t)
	w.visit("phone", 300)
	w.tell("phone", "ann", 300)
	w.count("ann", 400, w.tell("phone", "ann", 400))
	w.play()
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
		_, diff := w.audit(at(c.from), at(c.to))
		if (c.want == "") != (diff == "") {
			t.Errorf("minutes %d to %d: %q", c.from, c.to, diff)
		}
	}
}

func TestAuditFails(t *testing.T) {
	w := town(t)
	w.put(events.WalkInCounts, "cafe/ann", noon, []byte("nonsense"))
	w.play()
	_, err := Run(t.Context(), Options{Client: w.client, Rules: w.rules, Counts: w.counts})
	if err == nil || !strings.Contains(err.Error(), "audit: walk-in-counts/") {
		t.Errorf("a count that cannot be read: %v", err)
	}
	w = town(t)
	failure := errors.New("table down")
	_, err = Run(t.Context(), Options{Client: w.client, Rules: w.rules, Counts: brokenTable{failure}})
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}

// brokenTable fails.
type brokenTable struct{ err error }

func (b brokenTable) Each(context.Context, func(stage.CountKey, []stage.MonthCount) error) error {
	return b.err
}
