package dynamo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// environment returns a store in the table of b with a cache of its own, as each
// Lambda environment has, and with the clock that now points to.
func environment(t *testing.T, b *Businesses, now *time.Time) *Businesses {
	t.Helper()
	e := NewBusinesses(b.table.client, strings.TrimSuffix(b.table.name, pipeline.BusinessesTable))
	e.now = func() time.Time { return *now }
	return e
}

// withEntry returns the default settings with another entry threshold in dBm.
func withEntry(entry int32) business.Settings {
	s := business.Defaults()
	s.Entry = entry
	return s
}

// lastEntry returns the entry threshold of the last revision that a store returns,
// -127 if it returns none.
func lastEntry(t *testing.T, b *Businesses, id events.BusinessID) int32 {
	t.Helper()
	all, err := b.Rules(t.Context(), []events.BusinessID{id})
	if err != nil {
		t.Fatal(err)
	}
	if len(all[0]) == 0 {
		return -127
	}
	return all[0][len(all[0])-1].Rules.Entry
}

// A client that asks for one unknown business after the other does not fill the
// cache, and does not push a business that exists out of it.
func TestAbsentBusinessesDoNotFillTheCache(t *testing.T) {
	var c businessCache
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c.put("cafe/door", knownItem{readAt: at, door: &business.Door{}})
	for i := range 3 * maxAbsent {
		c.put(fmt.Sprint("absent-", i), knownItem{readAt: at})
		c.put(fmt.Sprint("absent-", i), knownItem{readAt: at}) // read again, which adds no item
		if n := len(c.items); n > maxAbsent+1 {
			t.Fatalf("got %d items after %d absent ones, want at most %d", n, i+1, maxAbsent+1)
		}
		if i == maxAbsent-1 && len(c.items) != maxAbsent+1 {
			t.Errorf("got %d items, want %d", len(c.items), maxAbsent+1)
		}
	}
	if _, ok := c.all([]string{"cafe/door"}, at); !ok {
		t.Error("the business that exists is no longer in the cache")
	}
}

// While Lambda has an environment frozen, only the wall clock goes on. If the clock
// was set back, the age of an item from the future is unknown, so the item is old.
func TestCacheAgesByTheWallClock(t *testing.T) {
	now := NewBusinesses(nil, "").now()
	if strings.Contains(now.String(), "m=") {
		t.Errorf("%v has a reading of the monotonic clock", now)
	}
	var c businessCache
	for age, want := range map[time.Duration]bool{0: true, maxAge - 1: true, maxAge: false, -1: false} {
		if got := c.usable(knownItem{readAt: now.Add(-age)}, now); got != want {
			t.Errorf("an item read %v ago: got usable %v, want %v", age, got, want)
		}
	}
}

// Half a minute after a put every environment returns the new rules, whenever the
// environments read, however long the writer takes between marker and put, and if
// the writer died there before.
func TestReadersSeeAChangeWithinHalfAMinute(t *testing.T) {
	const behind = 30 * time.Second
	ids := []events.BusinessID{"shop", "cafe"}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		writer := environment(t, NewBusinesses(tables(t)), &at)
		readers := []*Businesses{environment(t, writer, &at), environment(t, writer, &at), environment(t, writer, &at)}
		type landed struct {
			at    time.Time
			entry int32
		}
		puts := map[events.BusinessID][]landed{}
		read := func() {
			for _, i := range random.Perm(len(readers))[:random.IntN(len(readers)+1)] {
				id := ids[random.IntN(len(ids))]
				least := int32(-127)
				for _, p := range puts[id] {
					if at.Sub(p.at) >= behind {
						least = p.entry
					}
				}
				if got := lastEntry(t, readers[i], id); got < least {
					t.Fatalf("seed %d at %s: got entry threshold %d of %s, half a minute ago it was %d", seed, at.Format(time.TimeOnly), got, id, least)
				}
			}
		}
		entry := int32(-80)
		for range 120 {
			at = at.Add(time.Duration(random.IntN(25)) * time.Second)
			read()
			if random.IntN(12) > 0 {
				continue
			}
			if err := writer.moveMarker(t.Context(), at.Add(markerLead)); err != nil {
				t.Fatal(err)
			}
			at = at.Add(time.Duration(random.IntN(int(maxPutTime))))
			read()
			if random.IntN(4) == 0 {
				continue // the writer died between marker and put
			}
			id := ids[random.IntN(len(ids))]
			entry++
			next := func(string) ([]byte, error) {
				return business.History{{Settings: withEntry(entry)}}.Encode()
			}
			if err := writer.changeOnce(t.Context(), string(id), next); err != nil {
				t.Fatal(err)
			}
			puts[id] = append(puts[id], landed{at, entry})
			read()
		}
	}
}

// While nothing changes, an environment reads the marker and nothing else, for any
// number of businesses, present and absent.
func TestUnchangedBusinessesAreReadOnce(t *testing.T) {
	p, client := newProxy(t)
	_, prefix := tables(t)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	env := environment(t, NewBusinesses(client, prefix), &at)
	if err := env.PutRules(t.Context(), "shop-7", business.Revision{Settings: withEntry(-60)}); err != nil {
		t.Fatal(err)
	}
	at = at.Add(2 * markerLead)
	gets := p.count("GetItem")
	var ids []events.BusinessID
	for i := range 150 {
		ids = append(ids, events.BusinessID(fmt.Sprint("shop-", i)))
	}
	for range 600 { // five minutes
		if _, err := env.Rules(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second / 2)
	}
	if n := p.count("BatchGetItem"); n != 2 {
		t.Errorf("got %d reads of up to 100 items, want 2", n)
	}
	if n := p.count("GetItem") - gets; n < 13 || n > 15 {
		t.Errorf("got %d reads of the marker in five minutes, want one each 20 s", n)
	}
}

// If a put takes so long that an environment may see it too late, SetRules stores the
// rules again with a later start, and drops the revision with the earlier one.
func TestSlowPutMovesTheStartOfRules(t *testing.T) {
	client, prefix := tables(t)
	at := time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)
	b := environment(t, NewBusinesses(client, prefix), &at)
	calls := 0
	b.now = func() time.Time {
		if calls++; calls < 8 {
			at = at.Add(20 * time.Second)
		}
		return at
	}
	since, err := b.SetRules(t.Context(), "shop", withEntry(-60), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if calls <= 8 {
		t.Fatalf("the clock was read %d times: no put was too late", calls)
	}
	if left := since.Sub(at); left < business.Lead-maxPutTime || since.Second() != 0 {
		t.Errorf("rules begin at %s, %s from now; want a whole minute, %s from now or later", since, left, business.Lead-maxPutTime)
	}
	got, _, err := b.Read(t.Context(), "shop")
	if err != nil || len(got.Revisions) != 1 || !got.Revisions[0].Since.Equal(since) {
		t.Errorf("got stored %+v (%v), want one revision since %s", got, err, since)
	}
}

func TestRulesBeginNoSoonerThanSoonest(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)
	b := environment(t, NewBusinesses(tables(t)), &at)
	for _, c := range []struct {
		name       string
		from, want time.Time
	}{
		{"at once", time.Time{}, time.Date(2026, 11, 21, 12, 3, 0, 0, time.UTC)},
		{"in the past", at.AddDate(0, 0, -1), time.Date(2026, 11, 21, 12, 3, 0, 0, time.UTC)},
		{"tomorrow", at.AddDate(0, 0, 1), at.AddDate(0, 0, 1)},
	} {
		since, err := b.SetRules(t.Context(), events.BusinessID(c.name), withEntry(-60), c.from)
		if err != nil || !since.Equal(c.want) {
			t.Errorf("%s: got since %s (%v), want %s", c.name, since, err, c.want)
		}
	}
}

// Rules are stored exactly once if requests fail, and if answers are lost after the
// table applied the request.
func TestSetRulesSurvivesFaults(t *testing.T) {
	for name, faults := range map[string][]fault{
		"the marker's answer is lost":  {loseAnswer},
		"the read's answer is cut":     {nil, cutAnswer},
		"the put's answer is lost":     {nil, nil, loseAnswer},
		"the put is throttled":         {nil, nil, throttle, throttle},
		"every answer is lost in turn": {loseAnswer, nil, loseAnswer, nil, loseAnswer, nil, loseAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			p, client := newProxy(t)
			_, prefix := tables(t)
			b := NewBusinesses(client, prefix)
			p.next(faults...)
			since, err := b.SetRules(t.Context(), "shop", withEntry(-60), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := b.Read(t.Context(), "shop")
			if err != nil || len(got.Revisions) != 1 || !got.Revisions[0].Since.Equal(since) {
				t.Errorf("got stored %+v (%v), want exactly one revision since %s", got, err, since)
			}
		})
	}
}

// An item that cannot be read is an error, never a business without rules.
func TestUnreadableBusinessesAreErrors(t *testing.T) {
	client, prefix := tables(t)
	b := NewBusinesses(client, prefix)
	for pk, row := range map[string]item{
		"number":     {attrData: num(7)},
		"no json":    {attrData: str("entry = -60")},
		"out":        {attrData: str(`[{"rules": {"entry_dbm": 5}}]`)},
		"shop/door":  {attrData: str(`[]`)},
		"/changed":   {attrUntil: str("noon")},
		"empty text": {},
	} {
		row[keyPK] = str(pk)
		if err := b.table.put(t.Context(), row, "attribute_not_exists(pk)", nil); err != nil {
			t.Fatal(err)
		}
	}
	var errs []error
	for _, id := range []events.BusinessID{"number", "no json", "out", "empty text"} {
		_, err := b.Rules(t.Context(), []events.BusinessID{id})
		errs = append(errs, err)
	}
	_, _, err := b.Entrance(t.Context(), "shop")
	_, markerErr := b.readMarker(t.Context())
	errs = append(errs, err, markerErr)
	if i := slices.Index(errs, nil); i >= 0 {
		t.Errorf("read %d: got no error; all errors are %v", i, errs)
	}
	for _, err := range errs {
		if errors.Is(err, stage.ErrConflict) {
			t.Errorf("got conflict %v, want another error", err)
		}
	}
}

// PutAll is for businesses of which nothing was decided: their rules always held.
func TestPutAllStoresRulesThatAlwaysHeld(t *testing.T) {
	b := NewBusinesses(tables(t))
	s := withEntry(-60)
	err := b.PutAll(t.Context(), map[events.BusinessID]business.Document{"shop": {Rules: &s}, "cafe": {Door: &business.Door{Key: "2"}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Rules(t.Context(), []events.BusinessID{"shop", "cafe"})
	if err != nil || len(got[0]) != 1 || got[0][0].Since != presence.Instant(0) || len(got[1]) != 0 {
		t.Errorf("got rules %v (%v), want one revision of shop since the beginning, none of cafe", got, err)
	}
	if e, ok, err := b.Entrance(t.Context(), "cafe"); err != nil || !ok || e.Key != "2" {
		t.Errorf("got entrance %+v, %v (%v), want one with key 2", e, ok, err)
	}
}
