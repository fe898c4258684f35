package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// BusinessStore is a stage.Businesses with the calls for ingest and for the
// operator's commands.
type BusinessStore interface {
	stage.Businesses
	Entrance(ctx context.Context, id events.BusinessID) (e business.Entrance, ok bool, err error)
	PutRules(ctx context.Context, id events.BusinessID, r business.Revision) error
	PutDoor(ctx context.Context, id events.BusinessID, d business.Door) error
	Read(ctx context.Context, id events.BusinessID) (s business.Stored, ok bool, err error)
	List(ctx context.Context) ([]events.BusinessID, error)
}

// Businesses tests a BusinessStore. open returns an empty store.
func Businesses(t *testing.T, open func(*testing.T) BusinessStore) {
	for name, test := range map[string]func(*testing.T, BusinessStore){
		"an unknown business has nothing stored":         businessesNone,
		"settings are read exactly as written":           businessesRoundTrip,
		"Rules takes many businesses, in any order":      businessesMany,
		"a revision replaces the revisions from then on": businessesRevisions,
		"Entrance uses the rules in force now":           businessesEntrance,
		"invalid settings are rejected":                  businessesInvalid,
		"concurrent revisions are all stored":            businessesRace,
		"callers and the store share no memory":          businessesCopies,
		"every call fails if the context is done":        businessesContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// settings returns the default settings with an entry threshold.
func settings(entry int32) business.Settings {
	s := business.Defaults()
	s.Entry = entry
	return s
}

// putRules stores a revision that differs from the defaults by its entry threshold.
func putRules(t *testing.T, s BusinessStore, id events.BusinessID, since time.Time, entry int32) {
	t.Helper()
	noError(t, s.PutRules(t.Context(), id, business.Revision{Since: since, Settings: settings(entry)}))
}

// wantRules checks the stored revisions. It uses Read and not Rules, since Rules may
// return a cached result for half a minute.
func wantRules(t *testing.T, s BusinessStore, id events.BusinessID, want ...stage.RulesSince) {
	t.Helper()
	stored, _, err := s.Read(t.Context(), id)
	noError(t, err)
	got, err := stored.Revisions.Rules()
	noError(t, err)
	if !slices.EqualFunc(got, want, func(a, b stage.RulesSince) bool { return a.Since == b.Since && a.Rules.Entry == b.Rules.Entry }) {
		t.Errorf("rules of %s are %+v, want %+v", id, got, want)
	}
}

// rulesSince returns the revision that putRules stores, with its entry threshold
// alone.
func rulesSince(since time.Time, entry int32) stage.RulesSince {
	return stage.RulesSince{Since: presence.InstantOf(since), Rules: presence.Rules{Entry: entry}}
}

func businessesNone(t *testing.T, s BusinessStore) {
	// Twice, since a store may cache that a business is unknown.
	for range 2 {
		got, err := s.Rules(t.Context(), []events.BusinessID{"shop", "cafe"})
		noError(t, err)
		if len(got) != 2 || len(got[0])+len(got[1]) != 0 {
			t.Errorf("got rules %v, want none for both businesses", got)
		}
		_, ok, err := s.Entrance(t.Context(), "shop")
		noError(t, err)
		if ok {
			t.Error("an unknown business has an entrance")
		}
	}
	got, ok, err := s.Read(t.Context(), "shop")
	noError(t, err)
	ids, err := s.List(t.Context())
	noError(t, err)
	if ok || !reflect.DeepEqual(got, business.Stored{}) || len(ids) != 0 {
		t.Errorf("got %+v (%v) and list %v, want nothing", got, ok, ids)
	}
}

// full returns settings with every field set.
func full() (business.Settings, business.Door) {
	s := settings(-61)
	s.TimeZone, s.ResidentDays, s.ResidentHours = "Europe/Berlin", 5, 11
	s.OpeningHours = []business.OpeningHours{{Days: "mon-fri,sun", Open: "08:00", Close: "20:30"}}
	s.Sensors, s.Static, s.Employees = []events.SensorID{"door"}, []events.DeviceID{"1-till"}, []events.DeviceID{"1-ann"}
	return s, business.Door{
		Senders: map[string]business.Sender{"meraki": {
			Secrets: []string{"a secret of length", "another, as they change"}, Validator: "v",
			Routers: map[string]events.SensorID{"00:11:22:33:44:55": "door"}, PostsPerMinute: 30,
		}},
		OptOut: []events.DeviceID{"1-nobody"}, Key: "2",
	}
}

func businessesRoundTrip(t *testing.T, s BusinessStore) {
	rules, door := full()
	noError(t, s.PutRules(t.Context(), "shop", business.Revision{Since: noon, Settings: rules}))
	noError(t, s.PutDoor(t.Context(), "shop", door))
	noError(t, s.PutDoor(t.Context(), "shop", door)) // again, as after a lost answer
	want := business.Stored{Revisions: business.History{{Since: noon, Settings: rules}}, Door: &door}
	got, ok, err := s.Read(t.Context(), "shop")
	noError(t, err)
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, ok, want)
	}
	all, err := s.Rules(t.Context(), []events.BusinessID{"shop"})
	noError(t, err)
	wantRules, err := rules.Rules()
	noError(t, err)
	if !reflect.DeepEqual(all, [][]stage.RulesSince{{{Since: presence.InstantOf(noon), Rules: wantRules}}}) {
		t.Errorf("got rules %+v, want %+v", all, wantRules)
	}
}

func businessesMany(t *testing.T, s BusinessStore) {
	// Every 20th business has rules.
	const n = 205 // more than two reads of a hundred keys
	ids := make([]events.BusinessID, 0, n)
	for i := range n {
		id := events.BusinessID(fmt.Sprintf("shop-%03d", i))
		ids = append(ids, id)
		if i%20 == 0 {
			putRules(t, s, id, time.Time{}, int32(-60-i%25))
		}
	}
	noError(t, s.PutDoor(t.Context(), "shop-001", business.Door{}))
	// The result has the order of ids, which may repeat.
	slices.Reverse(ids)
	ids = append(ids, ids[4]) // shop-200, twice
	got, err := s.Rules(t.Context(), ids)
	noError(t, err)
	for i, id := range ids {
		var nth int
		_, err := fmt.Sscanf(string(id), "shop-%d", &nth)
		noError(t, err)
		switch {
		case nth%20 != 0 && len(got[i]) != 0, nth%20 == 0 && len(got[i]) != 1:
			t.Errorf("%s: got %d revisions", id, len(got[i]))
		case nth%20 == 0 && (got[i][0].Since != 0 || got[i][0].Rules.Entry != int32(-60-nth%25)):
			t.Errorf("%s: got %+v", id, got[i])
		}
	}
	listed, err := s.List(t.Context())
	noError(t, err)
	if len(listed) != 12 || listed[0] != "shop-000" || listed[1] != "shop-001" || listed[11] != "shop-200" {
		t.Errorf("got list %v, want the 11 businesses with rules and the one with a door", listed)
	}
}

// A revision replaces the revisions that would have begun at its time or later. A
// revision is dropped some time after the next revision began.
func businessesRevisions(t *testing.T, s BusinessStore) {
	now := time.Now().UTC().Truncate(time.Second)
	days := func(n int) time.Time { return now.AddDate(0, 0, n) }
	putRules(t, s, "shop", time.Time{}, -50)
	putRules(t, s, "shop", days(-3), -60)
	putRules(t, s, "shop", days(2), -61)
	ever := stage.RulesSince{Rules: presence.Rules{Entry: -50}}
	wantRules(t, s, "shop", ever, rulesSince(days(-3), -60), rulesSince(days(2), -61))
	putRules(t, s, "shop", days(2), -62)
	wantRules(t, s, "shop", ever, rulesSince(days(-3), -60), rulesSince(days(2), -62))
	putRules(t, s, "shop", days(1), -63)
	wantRules(t, s, "shop", ever, rulesSince(days(-3), -60), rulesSince(days(1), -63))
	putRules(t, s, "shop", time.Time{}, -64)
	wantRules(t, s, "shop", stage.RulesSince{Rules: presence.Rules{Entry: -64}})

	// The limit lies at 100 days: the revision of 300 days ago was followed by another
	// 101 days ago, and is dropped.
	putRules(t, s, "cafe", days(-300), -50)
	putRules(t, s, "cafe", days(-101), -51)
	wantRules(t, s, "cafe", rulesSince(days(-101), -51))
	putRules(t, s, "cafe", days(-99), -52)
	wantRules(t, s, "cafe", rulesSince(days(-101), -51), rulesSince(days(-99), -52))
}

// Entrance combines the door with the rules in force, and uses defaults for what is
// not stored.
func businessesEntrance(t *testing.T, s BusinessStore) {
	rules, door := full()
	rules.Hold = -77
	now := time.Now()
	noError(t, s.PutRules(t.Context(), "shop", business.Revision{Since: now.Add(-time.Hour), Settings: rules}))
	putRules(t, s, "shop", now.Add(time.Hour), -70)
	putRules(t, s, "rules only", now.Add(time.Hour), -70)
	held := rules
	// Ingest reports a disassociation at the hold threshold, which must be below the
	// entry threshold: such a sighting would be strong otherwise.
	held.Hold = held.Entry
	noError(t, s.PutRules(t.Context(), "one threshold", business.Revision{Since: now.Add(-time.Hour), Settings: held}))
	noError(t, s.PutDoor(t.Context(), "shop", door))
	noError(t, s.PutDoor(t.Context(), "door only", door))
	for _, c := range []struct {
		id   events.BusinessID
		zone string
		hold events.RSSI
		door business.Door
	}{
		{"shop", "Europe/Berlin", -77, door},
		{"one threshold", "Europe/Berlin", events.RSSI(rules.Entry - 1), business.Door{}},
		{"door only", "UTC", events.RSSI(presence.DefaultRules().Hold), door},
		{"rules only", "UTC", events.RSSI(presence.DefaultRules().Hold), business.Door{}},
	} {
		got, ok, err := s.Entrance(t.Context(), c.id)
		noError(t, err)
		if !ok || got.Zone == nil || got.Zone.String() != c.zone || got.Hold != c.hold || !reflect.DeepEqual(got.Door, c.door) {
			t.Errorf("%s: got entrance %+v (%v), want %s, %d and %+v", c.id, got, ok, c.zone, c.hold, c.door)
		}
	}
}

// Invalid settings are rejected, and nothing is stored. Settings with 12,000 devices
// fit into a table, and settings with 16,000 do not.
func businessesInvalid(t *testing.T, s BusinessStore) {
	bad := settings(5)
	large := settings(-60)
	for i := range 16_000 {
		large.Static = append(large.Static, events.DeviceID(fmt.Sprintf("1-%022d", i)))
	}
	for name, err := range map[string]error{
		"a threshold of 5 dBm":    s.PutRules(t.Context(), "shop", business.Revision{Settings: bad}),
		"16,000 devices":          s.PutRules(t.Context(), "shop", business.Revision{Settings: large}),
		"a business with a /":     s.PutRules(t.Context(), "shop/door", business.Revision{Settings: settings(-60)}),
		"a business without name": s.PutDoor(t.Context(), "", business.Door{}),
		"a sender of no kind":     s.PutDoor(t.Context(), "shop", business.Door{Senders: map[string]business.Sender{"fax": {}}}),
	} {
		if err == nil || conflicts(err) {
			t.Errorf("%s: got error %v, want one other than a conflict", name, err)
		}
	}
	ids, err := s.List(t.Context())
	noError(t, err)
	if len(ids) != 0 {
		t.Errorf("got list %v after rejected writes, want none", ids)
	}
	// Two revisions with the same device list fit, since the list is stored once.
	large.Static = large.Static[:12_000]
	noError(t, s.PutRules(t.Context(), "shop", business.Revision{Settings: large}))
	large.Entry++
	noError(t, s.PutRules(t.Context(), "shop", business.Revision{Since: noon, Settings: large}))
	got, _, err := s.Read(t.Context(), "shop")
	noError(t, err)
	if len(got.Revisions) != 2 || !slices.Equal(got.Revisions[1].Static, large.Static) {
		t.Errorf("got %d revisions, want two with all devices", len(got.Revisions))
	}
}

func businessesRace(t *testing.T, s BusinessStore) {
	// Revisions put in ascending order of Since do not replace each other.
	for w := range writers {
		putRules(t, s, "shop", later(w), int32(-60-w))
	}
	// Some writers add a revision, the others replace the door. No write undoes another.
	for _, err := range race(func(w int) error {
		id := events.BusinessID("shop")
		if w%2 == 0 {
			return s.PutRules(t.Context(), id, business.Revision{Since: later(100), Settings: settings(int32(-70 - w))})
		}
		return s.PutDoor(t.Context(), id, business.Door{Key: strings.Repeat("k", w)})
	}) {
		noError(t, err)
	}
	got, _, err := s.Read(t.Context(), "shop")
	noError(t, err)
	if n := len(got.Revisions); n != writers+1 || got.Revisions[n-1].Entry > -70 || got.Door == nil || got.Door.Key == "" {
		t.Errorf("got %d revisions and door %+v, want %d and one of the doors put", n, got.Door, writers+1)
	}
}

func businessesCopies(t *testing.T, s BusinessStore) {
	rules, door := full()
	noError(t, s.PutRules(t.Context(), "shop", business.Revision{Settings: rules}))
	noError(t, s.PutDoor(t.Context(), "shop", door))
	rules.Static[0], door.OptOut[0], door.Senders["meraki"].Secrets[0] = "x", "x", "x"
	door.Senders["mist"] = business.Sender{}
	got, _, err := s.Read(t.Context(), "shop")
	noError(t, err)
	rules, door = full()
	want := business.Stored{Revisions: business.History{{Settings: rules}}, Door: &door}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func businessesContext(t *testing.T, s BusinessStore) {
	_, err := s.Rules(canceled(), []events.BusinessID{"shop"})
	wantCanceled(t, err)
	_, _, err = s.Entrance(canceled(), "shop")
	wantCanceled(t, err)
	wantCanceled(t, s.PutRules(canceled(), "shop", business.Revision{Settings: settings(-60)}))
	wantCanceled(t, s.PutDoor(canceled(), "shop", business.Door{}))
	_, _, err = s.Read(canceled(), "shop")
	wantCanceled(t, err)
	_, err = s.List(canceled())
	wantCanceled(t, err)
}
