package stage_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// Each case is a walk-in at noon and a list of CRM events. If eitherOrder is set,
// the walk-in may be processed before all events with the same result. In the other
// cases it may not: an attribution is final, so CRM events from before a walk-in
// have to be processed before it for the right attribution.
func TestAttributionOfAWalkIn(t *testing.T) {
	before, after := noon.Add(-24*time.Hour), noon.Add(10*time.Minute)
	cases := map[string]struct {
		crm  []any
		want string // contact, "" for unattributed
		late bool

		eitherOrder bool
	}{
		"a login the day before":                        {crm: []any{login("phone", "ann", before)}, want: "ann", eitherOrder: true},
		"a first login ten minutes after":               {crm: []any{login("phone", "ann", after)}, want: "ann", late: true, eitherOrder: true},
		"a login four hours after is another stay":      {crm: []any{login("phone", "ann", noon.Add(4*time.Hour))}, eitherOrder: true},
		"a login on another device":                     {crm: []any{login("tablet", "ann", before)}, eitherOrder: true},
		"a login of another contact before":             {crm: []any{login("phone", "ann", before), login("phone", "bob", noon.Add(-time.Hour))}, want: "bob"},
		"a login of another contact after":              {crm: []any{login("phone", "ann", before), login("phone", "bob", after)}, want: "ann", eitherOrder: true},
		"two logins after":                              {crm: []any{login("phone", "ann", after), login("phone", "bob", after.Add(time.Minute))}, want: "ann", late: true, eitherOrder: true},
		"logins in the wrong order":                     {crm: []any{login("phone", "bob", noon.Add(-time.Hour)), login("phone", "ann", before)}, want: "bob"},
		"a contact deleted before":                      {crm: []any{login("phone", "ann", before), deleted("ann", before.Add(time.Hour))}},
		"a deletion processed before its login":         {crm: []any{deleted("ann", before.Add(time.Hour)), login("phone", "ann", before)}},
		"a login after the deletion":                    {crm: []any{login("phone", "ann", before), deleted("ann", before.Add(time.Hour)), login("phone", "ann", noon.Add(-time.Hour))}, want: "ann"},
		"a login after the merge":                       {crm: []any{login("phone", "ann", before), merged("ann", "anna", before.Add(time.Hour)), login("phone", "ann", noon.Add(-time.Hour))}, want: "ann"},
		"a login after the merge, processed before it":  {crm: []any{login("phone", "ann", before), login("phone", "ann", noon.Add(-time.Hour)), merged("ann", "anna", before.Add(time.Hour))}, want: "ann"},
		"a login after the deletion, processed first":   {crm: []any{login("phone", "ann", noon.Add(-time.Hour)), login("phone", "ann", before), deleted("ann", before.Add(time.Hour))}, want: "ann"},
		"a contact merged before":                       {crm: []any{login("phone", "ann", before), merged("ann", "anna", before.Add(time.Hour))}, want: "anna"},
		"a merge processed before its login":            {crm: []any{merged("ann", "anna", before.Add(time.Hour)), login("phone", "ann", before)}, want: "anna"},
		"two merges processed before":                   {crm: []any{merged("ann", "anna", before.Add(time.Hour)), merged("anna", "anne", before.Add(2*time.Hour)), login("phone", "ann", before)}, want: "anne"},
		"a deletion processed before the merge into it": {crm: []any{login("phone", "ann", before), deleted("anna", before.Add(2*time.Hour)), merged("ann", "anna", before.Add(time.Hour))}},
		"a circle of merges":                            {crm: []any{merged("ann", "anna", before.Add(time.Hour)), merged("anna", "ann", before.Add(2*time.Hour)), login("phone", "ann", before)}, want: "ann"},
		"a change of the contact's details":             {crm: []any{login("phone", "ann", before), merged("ann", "", before.Add(time.Hour))}, want: "ann"},
	}
	for name, c := range cases {
		for _, walkInFirst := range []bool{false, true} {
			if walkInFirst && !c.eitherOrder {
				continue
			}
			t.Run(fmt.Sprintf("%s/walk-in first %v", name, walkInFirst), func(t *testing.T) {
				f := newFixture()
				visit := walkInOf(t, "phone", noon).All()
				steps := []func() error{
					func() error { return f.identify().Handle(t.Context(), crmEvents(t, events.CRMEvents, c.crm...).All()) },
					func() error { return f.enrich().Handle(t.Context(), visit) },
				}
				if walkInFirst {
					slices.Reverse(steps)
				}
				for _, step := range steps {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				got := f.enriched(t)
				switch {
				case c.want == "" && len(got) > 0:
					t.Fatalf("got contact %s, want unattributed", got[0].Contact)
				case c.want != "" && (len(got) != 1 || string(got[0].Contact) != c.want || got[0].Late != c.late):
					t.Fatalf("got %+v, want one of contact %s, late %v", got, c.want, c.late)
				}
			})
		}
	}
}

// A stored attribution does not change, even if a later CRM event would lead to
// another contact: a redelivered walk-in is not counted for a second contact.
func TestAttributionStaysThroughAReplay(t *testing.T) {
	f := newFixture()
	visit := walkInOf(t, "phone", noon).All()
	if err := f.identify().Handle(t.Context(), crmEvents(t, events.CRMEvents, login("phone", "ann", noon.Add(-time.Hour))).All()); err != nil {
		t.Fatal(err)
	}
	if err := f.enrich().Handle(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	backfill := crmEvents(t, events.CRMEventsBackfill, login("phone", "bob", noon.Add(-time.Minute)))
	if err := f.identify().Handle(t.Context(), backfill.All()); err != nil {
		t.Fatal(err)
	}
	if err := f.enrich().Handle(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	if got := f.enriched(t); len(got) != 1 || got[0].Contact != "ann" {
		t.Errorf("got %+v, want one of contact ann", got)
	}
}

// An attempt stores the contact of a walk-in, and fails before the enriched walk-in
// is produced. The retry produces it, although the contact is stored by then.
func TestARetryProducesAStoredAttribution(t *testing.T) {
	f := newFixture()
	visit := walkInOf(t, "phone", noon).All()
	logins := crmEvents(t, events.CRMEvents, login("phone", "ann", noon.Add(5*time.Minute))).All()
	if err := f.enrich().Handle(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	f.out.Fail = func(int) error { return stagetest.ErrInjected }
	if err := f.identify().Handle(t.Context(), logins); err == nil {
		t.Fatal("the injected fault did not fail the batch")
	}
	f.out.Fail = nil
	if err := f.identify().Handle(t.Context(), logins); err != nil {
		t.Fatal(err)
	}
	if got := f.enriched(t); len(got) != 1 {
		t.Errorf("got %d enriched walk-ins, want 1", len(got))
	}
}

// The sequence: ann is merged into anna; a walk-in is stored as pending; a login of
// ann from before the merge arrives by the backfill, attributes the walk-in to anna
// (by the binding of the merge), and fails before it produces. The retry of the
// login produces the walk-in, even if other CRM events were processed in between.
func TestARetriedLoginProducesWalkInsBoundByAMerge(t *testing.T) {
	for name, meanwhile := range map[string][]any{
		"nothing in between":      nil,
		"another merge":           {merged("ann", "bea", noon.Add(time.Hour))},
		"a deletion":              {deleted("anna", noon.Add(time.Hour))},
		"another contact's login": {login("phone", "carl", noon.Add(time.Hour))},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			oldLogin := crmEvents(t, events.CRMEventsBackfill, login("phone", "ann", noon.Add(-time.Hour)))
			handleAll(t, f.identify(), crmEvents(t, events.CRMEvents, merged("ann", "anna", noon.Add(-30*time.Minute))))
			handleAll(t, f.enrich(), walkInOf(t, "phone", noon))
			f.out.Fail = func(int) error { return stagetest.ErrInjected }
			if err := f.identify().Handle(t.Context(), oldLogin.All()); err == nil {
				t.Fatal("the injected fault did not fail the batch")
			}
			f.out.Fail = nil
			handleAll(t, f.identify(), crmEvents(t, events.CRMEvents, meanwhile...))
			handleAll(t, f.identify(), oldLogin)
			if got := f.enriched(t); len(got) != 1 || got[0].Contact != "anna" {
				t.Errorf("got %+v, want one of contact anna", got)
			}
		})
	}
}

// Walk-ins get the same attributions as if all logins were processed first, for any
// redeliveries, and for any number of logins processed before a walk-in, as long as
// they include the logins from before the walk-in.
func TestAttributionDoesNotDependOnTheOrderOfProcessing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Draw logins and walk-ins of two devices, at different minutes.
		logins, visits := &stagetest.Partition{Topic: events.CRMEvents}, &stagetest.Partition{Topic: events.WalkIns}
		minutes := rapid.SliceOfNDistinct(rapid.IntRange(0, 600), 2, 12, rapid.ID).Draw(t, "minutes")
		slices.Sort(minutes)
		earlier := []int{} // per walk-in, the number of logins from before it
		for _, m := range minutes {
			at, device := noon.Add(time.Duration(m)*time.Minute), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "device")
			if rapid.Bool().Draw(t, "login") {
				contact := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "contact")
				logins.Put(t, events.BusinessKey(cafe), login(device, contact, at))
			} else {
				visit := walkInOf(t, events.DeviceID(device), at).Records[0]
				visits.PutRaw(visit.Key, visit.Value)
				earlier = append(earlier, len(logins.Records))
			}
		}
		// In one run all logins are processed first. In the other, logins and walk-ins
		// are mixed.
		ordered, mixed := newFixture(), newFixture()
		handleAgain(t, ordered.identify(), logins, 0, len(logins.Records))
		handleAgain(t, ordered.enrich(), visits, 0, len(visits.Records))
		done := 0
		for i := range visits.Records {
			for done < earlier[i] || done < len(logins.Records) && rapid.Bool().Draw(t, "ahead") {
				handleAgain(t, mixed.identify(), logins, done, done+1)
				done++
			}
			handleAgain(t, mixed.enrich(), visits, i, i+1)
		}
		handleAgain(t, mixed.identify(), logins, done, len(logins.Records))
		if got, want := stagetest.Distinct(mixed.enriched(t)), stagetest.Distinct(ordered.enriched(t)); !slices.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

// handleAgain gives a stage the records in [from, to), and some of the records
// before from again.
func handleAgain(t *rapid.T, h stage.Handler, l *stagetest.Partition, from, to int) {
	from -= rapid.IntRange(0, from).Draw(t, "redelivered")
	if from == to {
		return
	}
	if err := h.Handle(context.Background(), l.Batch(from, to)); err != nil {
		t.Fatal(err)
	}
}
