package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var phone = events.DeviceKey("cafe", "phone")

func same(n int) Comparison { return Comparison{n, n, n} }

func TestSourcesOfAHealthyRunAgree(t *testing.T) {
	w := live(t)
	// A retry produces records again, and may do so after newer records.
	id := events.NewWalkInID("cafe", "phone", noon)
	w.put(events.WalkIns, phone, &events.WalkIn{ID: id, Business: "cafe", Device: "phone", StartedAt: noon, ConfirmedAt: noon})
	w.put(events.VisitsEnded, phone, &events.VisitEnded{ID: id, Business: "cafe", Device: "phone", StartedAt: noon, LastSeenAt: noon})
	w.put(events.EnrichedWalkIns, events.ContactKey("cafe", "ann"), &events.EnrichedWalkIn{
		ID: id, Business: "cafe", Device: "phone", Contact: "ann", StartedAt: noon, BoundAt: noon,
	})
	var mu sync.Mutex
	read := map[string]int{}
	w.Read = func(topic string) { mu.Lock(); read[topic]++; mu.Unlock() }
	r, err := Run(t.Context(), w.Sources)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if read[events.Sightings] == 0 || read[events.WalkIns] == 0 || read[events.EnrichedWalkIns] == 0 {
		t.Errorf("records read, by topic: %v, want some of each", read)
	}
	if r.WalkIns != same(8) || r.Enriched != same(4) || r.Counted != same(4) || r.Contacts != same(3) {
		t.Errorf("walk-ins %v, enriched %v, counted %v, contacts %v", r.WalkIns, r.Enriched, r.Counted, r.Contacts)
	}
	if r.Late != 1 || r.Tally.WalkIns != 8 || r.Tally.Late != 5 || r.Tally.Dead != 1 {
		t.Errorf("%d late ones, tally %+v; want 1, 8 walk-ins, 5 late, 1 dead letter", r.Late, r.Tally)
	}
	want := []ContactTotal{{"cafe", "ann", 2}, {"cafe", "annie", 1}, {"cafe", "bob", 1}}
	if !slices.Equal(r.TopContacts, want) {
		t.Errorf("loyal %v, want %v", r.TopContacts, want)
	}
	var visits []string
	for _, v := range r.Visits {
		visits = append(visits, fmt.Sprintf("%s %v-%v", v.Device, v.Start.Sub(noon).Minutes(), v.End.Sub(noon).Minutes()))
	}
	if got, want := strings.Join(visits, ", "), "phone 0-12, tablet 0-12, phone 100-112, phone 200-212, phone 300-312, "+
		"stranger 702-729, tourist 702-717, tourist 720-729"; got != want {
		t.Errorf("visits %s, want %s", got, want)
	}
}

func TestErrNamesEveryDifference(t *testing.T) {
	cafe := events.BusinessID("cafe")
	bob := events.ContactKey(cafe, "bob")
	id := string(events.NewWalkInID(cafe, "phone", noon))
	first := events.EnrichedWalkIn{ID: events.WalkInID(id), Business: cafe, Device: "phone", Contact: "bob", StartedAt: noon, BoundAt: noon}
	told := events.WalkInCount{Business: cafe, Contact: "ann", WalkIn: "w", WalkInAt: noon, Month: "2026-03", MonthTotal: 3, Total: 3, Version: 9}
	count := func(w *world, contact events.ContactID, id string) {
		if err := w.Counts.Add(w.t.Context(), stage.CountKey{Business: cafe, Contact: contact}, "2026-03", []presence.Fact{{Visit: id}}); err != nil {
			w.t.Fatal(err)
		}
	}
	cases := []struct {
		name  string
		plant func(*world)
		want  []string // every line of the error
	}{
		{"a walk-in lost from the topic", func(w *world) {
			w.lose(events.WalkIns, phone)
			w.put(events.VisitsEnded, phone, &events.VisitEnded{ID: events.WalkInID(id), Business: cafe, Device: "phone", StartedAt: noon, LastSeenAt: noon})
		},
			[]string{"walk-ins: expected (oracle) 8, in topics 7, in tables 8", "visit " + id + " of cafe/phone ended without a walk-in"}},
		{"one emitted again under another id", func(w *world) {
			w.put(events.WalkIns, events.DeviceKey(cafe, "tablet"), &events.WalkIn{ID: "x", Business: cafe, Device: "tablet", StartedAt: noon, ConfirmedAt: noon})
		}, []string{"walk-ins: expected (oracle) 8, in topics 9, in tables 8", "walk-in x of cafe/tablet never ended"}},
		{"one that detect logged and another run did not", func(w *world) { w.Log = memory.NewVisitLog() },
			[]string{"walk-ins: expected (oracle) 8, in topics 8, in tables 0"}},
		{"an enriched one emitted for two contacts", func(w *world) { w.put(events.EnrichedWalkIns, bob, &first) },
			[]string{"walk-in " + id + " was attributed to contact ann and to contact bob"}},
		{"an enriched one lost from the topic", func(w *world) {
			w.lose(events.EnrichedWalkIns, bob)
			w.lose(events.EnrichedWalkIns, bob) // the record with its end
		},
			[]string{"enriched walk-ins: expected (oracle) 4, in topics 3, in tables 4"}},
		{"the end of an enriched one lost from the topic", func(w *world) {
			w.put(events.EnrichedWalkIns, events.ContactKey(cafe, "ann"), &events.EnrichedWalkIn{
				ID: events.WalkInID(id), Business: cafe, Device: "phone", Contact: "ann", StartedAt: noon, BoundAt: noon, Version: 1 << 40,
			})
		}, []string{"enriched walk-in " + id + ": its highest version does not say that the visit ended at 2026-03-31T12:12:00Z"}},
		{"the attributions lost from the table", func(w *world) { w.Pending = memory.NewPending() },
			[]string{"enriched walk-ins: expected (oracle) 4, in topics 4, in tables 0"}},
		{"a walk-in that never ended", func(w *world) { w.lose(events.VisitsEnded, phone) },
			[]string{"walk-in " + id + " of cafe/phone never ended"}},
		{"an end of no walk-in", func(w *world) {
			w.put(events.VisitsEnded, phone, &events.VisitEnded{ID: "x", Business: cafe, Device: "phone", StartedAt: noon, LastSeenAt: noon})
		}, []string{"visit x of cafe/phone ended without a walk-in"}},
		{"a count one too high on the topic", func(w *world) { w.put(events.WalkInCounts, events.ContactKey(cafe, "ann"), &told) },
			[]string{"walk-ins counted: expected (oracle) 4, in topics 5, in tables 4", "count of cafe/ann: expected (oracle) 2, on the topic 3, in the table 2"}},
		{"an older count redelivered", func(w *world) {
			old := told
			old.MonthTotal, old.Total, old.Version = 1, 1, 1
			w.put(events.WalkInCounts, events.ContactKey(cafe, "ann"), &old)
		}, []string{}},
		{"a count one too low in the table", func(w *world) {
			w.Counts = memory.NewCounts()
			count(w, "ann", "w1")
			count(w, "annie", "w2")
			count(w, "bob", "w3")
		}, []string{"walk-ins counted: expected (oracle) 4, in topics 4, in tables 3", "count of cafe/ann: expected (oracle) 2, on the topic 2, in the table 1"}},
		{"every count lost from the table", func(w *world) { w.Counts = memory.NewCounts() },
			[]string{"walk-ins counted: expected (oracle) 4, in topics 4, in tables 0", "contacts counted: expected (oracle) 3, in topics 3, in tables 0",
				"count of cafe/ann: expected (oracle) 2, on the topic 2, in the table 0", "count of cafe/annie: expected (oracle) 1, on the topic 1, in the table 0",
				"count of cafe/bob: expected (oracle) 1, on the topic 1, in the table 0"}},
		{"a contact counted that nobody expects", func(w *world) {
			eve := told
			eve.Contact, eve.Total = "eve", 1
			w.put(events.WalkInCounts, events.ContactKey(cafe, "eve"), &eve)
			count(w, "eve", "w4")
		}, []string{"walk-ins counted: expected (oracle) 4, in topics 5, in tables 5", "contacts counted: expected (oracle) 3, in topics 4, in tables 4",
			"count of cafe/eve: expected (oracle) 0, on the topic 1, in the table 1"}},
		{"a contact's count lost from the topic", func(w *world) { w.lose(events.WalkInCounts, bob) },
			[]string{"walk-ins counted: expected (oracle) 4, in topics 3, in tables 4", "contacts counted: expected (oracle) 3, in topics 2, in tables 3",
				"count of cafe/bob: expected (oracle) 1, on the topic 0, in the table 1"}},
		{"a login that the platform never saw", func(w *world) { w.lose(events.CRMEvents, events.BusinessKey(cafe)) },
			[]string{"enriched walk-ins: expected (oracle) 3, in topics 4, in tables 4", "walk-ins counted: expected (oracle) 3, in topics 4, in tables 4",
				"contacts counted: expected (oracle) 2, in topics 3, in tables 3", "count of cafe/bob: expected (oracle) 0, on the topic 1, in the table 1"}},
		{"other rules than the run had", func(w *world) { w.Rules.MinSpan = time.Hour }, []string{
			"walk-ins: expected (oracle) 1, in topics 8, in tables 8", "enriched walk-ins: expected (oracle) 1, in topics 4, in tables 4",
			"walk-ins counted: expected (oracle) 1, in topics 4, in tables 4", "contacts counted: expected (oracle) 1, in topics 3, in tables 3",
			"count of cafe/ann: expected (oracle) 0, on the topic 2, in the table 2", "count of cafe/annie: expected (oracle) 0, on the topic 1, in the table 1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of the time goes into waiting for connections
			w := live(t)
			c.plant(w)
			r, err := Run(t.Context(), w.Sources)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			if err := r.Err(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("error\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(c.want, "\n "))
			}
		})
	}
}

// TestRunNeedsEveryTopic: a missing topic is an error, not an empty topic.
func TestRunNeedsEveryTopic(t *testing.T) {
	for _, topic := range []string{
		events.Sightings, events.CRMEvents, events.CRMEventsBackfill, events.WalkIns,
		events.VisitsEnded, events.EnrichedWalkIns, events.WalkInCounts,
	} {
		w := newWorld(t, topic)
		if _, err := Run(t.Context(), w.Sources); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), topic) {
			t.Errorf("without %s: error %v", topic, err)
		}
	}
}

// TestRunNamesTheRecordThatCannotBeDecoded: a record of a stage that does not decode is an
// error.
func TestRunNamesTheRecordThatCannotBeDecoded(t *testing.T) {
	for _, topic := range []string{events.WalkIns, events.VisitsEnded, events.EnrichedWalkIns, events.WalkInCounts} {
		w := newWorld(t, "")
		w.put(topic, []byte("cafe/phone"), []byte("nonsense"))
		where := fmt.Sprintf("%s/%d offset 0", topic, events.Partition([]byte("cafe/phone"), partitions))
		if _, err := Run(t.Context(), w.Sources); err == nil || !strings.Contains(err.Error(), where) {
			t.Errorf("nonsense at %s: error %v", where, err)
		}
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	w := newWorld(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, w.Sources); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestComparisonIsEqualOnlyIfAllThreeSourcesAre(t *testing.T) {
	for f, want := range map[Comparison]bool{
		{}: true, {2, 2, 2}: true, {1, 2, 2}: false, {2, 1, 2}: false, {2, 2, 1}: false, {1, 2, 3}: false,
	} {
		if got := f.Equal(); got != want {
			t.Errorf("%+v the same: %v", f, got)
		}
	}
}

// TestTopContactsAreOrdered: the most frequent contacts first, then by name, so that two
// reports of one run are the same.
func TestTopContactsAreOrdered(t *testing.T) {
	w := newWorld(t, "")
	want := []ContactTotal{{"b", "z", 3}, {"a", "x", 2}, {"b", "t", 2}, {"b", "u", 2}, {"b", "x", 2}, {"b", "y", 2}, {"a", "v", 1}}
	for i, l := range want {
		c := events.WalkInCount{Business: l.Business, Contact: l.Contact, WalkIn: "w", WalkInAt: noon, Month: "2026-03", Total: l.Total, Version: 1}
		w.put(events.WalkInCounts, events.ContactKey(l.Business, l.Contact), &c)
		var ids []presence.Fact
		for n := range l.Total {
			ids = append(ids, presence.Fact{Visit: fmt.Sprint(i, n)})
		}
		if err := w.Counts.Add(t.Context(), stage.CountKey{Business: l.Business, Contact: l.Contact}, "2026-03", ids[:1]); err != nil {
			t.Fatal(err)
		}
		if err := w.Counts.Add(t.Context(), stage.CountKey{Business: l.Business, Contact: l.Contact}, "2026-04", ids[1:]); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Run(t.Context(), w.Sources)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.TopContacts, want) {
		t.Errorf("loyal %v, want %v", r.TopContacts, want)
	}
}

// TestVisitWithoutAnEndLastsUntilItsConfirmation: a visit without an end lasts until its confirmation.
func TestVisitWithoutAnEndLastsUntilItsConfirmation(t *testing.T) {
	w := newWorld(t, "")
	confirmed := noon.Add(6 * time.Minute)
	w.put(events.WalkIns, phone, &events.WalkIn{ID: "w", Business: "cafe", Device: "phone", StartedAt: noon, ConfirmedAt: confirmed})
	r, err := Run(t.Context(), w.Sources)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Visits) != 1 || !r.Visits[0].Start.Equal(noon) || !r.Visits[0].End.Equal(confirmed) {
		t.Errorf("visits %v, want one from %v to %v", r.Visits, noon, confirmed)
	}
}
