package stage_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// people is what identify and enrich share.
type people struct {
	identities stage.Identities
	pending    stage.Pending
	out        *stagetest.Sink
}

func newPeople() *people {
	return &people{memory.NewIdentities(), memory.NewPending(), &stagetest.Sink{}}
}

func (p *people) identify() stage.Handler {
	return stage.NewIdentify(stage.IdentifyDeps{Identities: p.identities, Pending: p.pending, Out: p.out})
}

func (p *people) enrich() stage.Handler {
	return stage.NewEnrich(stage.EnrichDeps{Identities: p.identities, Pending: p.pending, Out: p.out})
}

func (p *people) enriched(t rapid.TB) []events.EnrichedWalkIn {
	t.Helper()
	all := stagetest.Decode(t, p.out.On(events.EnrichedWalkIns), events.DecodeEnrichedWalkIn)
	slices.SortFunc(all, func(a, b events.EnrichedWalkIn) int { return a.StartedAt.Compare(b.StartedAt) })
	return slices.Compact(all)
}

func walkInsAt(t rapid.TB, device events.DeviceID, start time.Time) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: events.WalkIns}
	l.Put(t, events.DeviceKey(cafe, device), &events.WalkIn{
		ID: events.NewWalkInID(cafe, device, start), Business: cafe, Device: device,
		StartedAt: start, ConfirmedAt: start.Add(5 * time.Minute),
	})
	return l
}

func crm(t rapid.TB, topic string, all ...any) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: topic}
	for _, e := range all {
		l.Put(t, events.BusinessKey(cafe), e)
	}
	return l
}

func login(device, contact string, at time.Time) *events.PortalLogin {
	return &events.PortalLogin{
		Business: cafe, Device: events.DeviceID(device), Contact: events.ContactID(contact), At: at,
	}
}

func deleted(contact string, at time.Time) *events.ContactDeleted {
	return &events.ContactDeleted{Business: cafe, Contact: events.ContactID(contact), At: at}
}

func merged(contact, into string, at time.Time) *events.ContactChanged {
	return &events.ContactChanged{
		Business: cafe, Contact: events.ContactID(contact), MergedInto: events.ContactID(into), At: at,
	}
}

// Each case is a walk-in at noon and what the CRM says. Where either order is
// given, the walk-in may be processed before all of it. Elsewhere it is not, for
// what a walk-in is attributed to is final: CRM events from before a walk-in
// must not lag behind it for the device to be the right owner's.
func TestWhoseWalkInItIs(t *testing.T) {
	before, after := noon.Add(-24*time.Hour), noon.Add(10*time.Minute)
	cases := map[string]struct {
		crm  []any
		want string // contact, "" for nobody
		late bool

		eitherOrder bool
	}{
		"a login the day before":                   {crm: []any{login("phone", "ann", before)}, want: "ann", eitherOrder: true},
		"a first login ten minutes after":          {crm: []any{login("phone", "ann", after)}, want: "ann", late: true, eitherOrder: true},
		"a login four hours after is another stay": {crm: []any{login("phone", "ann", noon.Add(4*time.Hour))}, eitherOrder: true},
		"a login on another device":                {crm: []any{login("tablet", "ann", before)}, eitherOrder: true},
		"the device was handed on before":          {crm: []any{login("phone", "ann", before), login("phone", "bob", noon.Add(-time.Hour))}, want: "bob"},
		"the device was handed on after":           {crm: []any{login("phone", "ann", before), login("phone", "bob", after)}, want: "ann", eitherOrder: true},
		"two logins after":                         {crm: []any{login("phone", "ann", after), login("phone", "bob", after.Add(time.Minute))}, want: "ann", late: true, eitherOrder: true},
		"logins told in the wrong order":           {crm: []any{login("phone", "bob", noon.Add(-time.Hour)), login("phone", "ann", before)}, want: "bob"},
		"a contact deleted before":                 {crm: []any{login("phone", "ann", before), deleted("ann", before.Add(time.Hour))}},
		"a deletion told before its login":         {crm: []any{deleted("ann", before.Add(time.Hour)), login("phone", "ann", before)}},
		"a contact that came back":                 {crm: []any{login("phone", "ann", before), deleted("ann", before.Add(time.Hour)), login("phone", "ann", noon.Add(-time.Hour))}, want: "ann"},
		"a contact merged before":                  {crm: []any{login("phone", "ann", before), merged("ann", "anna", before.Add(time.Hour))}, want: "anna"},
		"a merge told before its login":            {crm: []any{merged("ann", "anna", before.Add(time.Hour)), login("phone", "ann", before)}, want: "anna"},
		"two merges told before":                   {crm: []any{merged("ann", "anna", before.Add(time.Hour)), merged("anna", "anne", before.Add(2*time.Hour)), login("phone", "ann", before)}, want: "anne"},
		"a deletion told before the merge into it": {crm: []any{login("phone", "ann", before), deleted("anna", before.Add(2*time.Hour)), merged("ann", "anna", before.Add(time.Hour))}},
		"a circle of merges":                       {crm: []any{merged("ann", "anna", before.Add(time.Hour)), merged("anna", "ann", before.Add(2*time.Hour)), login("phone", "ann", before)}, want: "ann"},
		"a contact of whom details changed":        {crm: []any{login("phone", "ann", before), merged("ann", "", before.Add(time.Hour))}, want: "ann"},
	}
	for name, c := range cases {
		for _, walkInFirst := range []bool{false, true} {
			if walkInFirst && !c.eitherOrder {
				continue
			}
			t.Run(fmt.Sprintf("%s/walk-in first %v", name, walkInFirst), func(t *testing.T) {
				p := newPeople()
				visit := walkInsAt(t, "phone", noon).All()
				steps := []func() error{
					func() error { return p.identify().Handle(t.Context(), crm(t, events.CRMEvents, c.crm...).All()) },
					func() error { return p.enrich().Handle(t.Context(), visit) },
				}
				if walkInFirst {
					slices.Reverse(steps)
				}
				for _, step := range steps {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				got := p.enriched(t)
				switch {
				case c.want == "" && len(got) > 0:
					t.Fatalf("attributed to %s, want nobody", got[0].Contact)
				case c.want != "" && (len(got) != 1 || string(got[0].Contact) != c.want || got[0].Late != c.late):
					t.Fatalf("enriched %+v, want one of %s, late %v", got, c.want, c.late)
				}
			})
		}
	}
}

// Whatever the CRM says later, a walk-in stays the contact's it was told to be:
// told again it is the same, so nobody else counts it.
func TestAttributionStaysThroughAReplay(t *testing.T) {
	p := newPeople()
	visit := walkInsAt(t, "phone", noon).All()
	if err := p.identify().Handle(t.Context(), crm(t, events.CRMEvents, login("phone", "ann", noon.Add(-time.Hour))).All()); err != nil {
		t.Fatal(err)
	}
	if err := p.enrich().Handle(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	backfill := crm(t, events.CRMEventsBackfill, login("phone", "bob", noon.Add(-time.Minute)))
	if err := p.identify().Handle(t.Context(), backfill.All()); err != nil {
		t.Fatal(err)
	}
	if err := p.enrich().Handle(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	if got := p.enriched(t); len(got) != 1 || got[0].Contact != "ann" {
		t.Errorf("enriched %+v, want ann's alone", got)
	}
}

// A walk-in whose record was lost with an environment is told again by the next
// try, though the table knew its contact by then.
func TestWhatIsStoredKeepsNothingFromBeingToldAgain(t *testing.T) {
	p := newPeople()
	visit := walkInsAt(t, "phone", noon).All()
	logins := crm(t, events.CRMEvents, login("phone", "ann", noon.Add(5*time.Minute))).All()
	if err := p.enrich().Handle(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	p.out.Fail = func(int) error { return stagetest.ErrInjected }
	if err := p.identify().Handle(t.Context(), logins); err == nil {
		t.Fatal("the injected fault was not met")
	}
	p.out.Fail = nil
	if err := p.identify().Handle(t.Context(), logins); err != nil {
		t.Fatal(err)
	}
	if got := p.enriched(t); len(got) != 1 {
		t.Errorf("%d enriched walk-ins, want 1", len(got))
	}
}

// A login from the backfill finds its contact merged, gives a walk-in from after
// the merge to the other contact, and dies. Its next try tells that walk-in,
// though it was bound by the merge, and whatever became of the contact since.
func TestALoginTellsWhatAMergeHasBoundForIt(t *testing.T) {
	for name, meanwhile := range map[string][]any{
		"nothing else":    nil,
		"another merge":   {merged("ann", "bea", noon.Add(time.Hour))},
		"a deletion":      {deleted("anna", noon.Add(time.Hour))},
		"another's login": {login("phone", "carl", noon.Add(time.Hour))},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeople()
			old := crm(t, events.CRMEventsBackfill, login("phone", "ann", noon.Add(-time.Hour)))
			handleAll(t, p.identify(), crm(t, events.CRMEvents, merged("ann", "anna", noon.Add(-30*time.Minute))))
			handleAll(t, p.enrich(), walkInsAt(t, "phone", noon))
			p.out.Fail = func(int) error { return stagetest.ErrInjected }
			if err := p.identify().Handle(t.Context(), old.All()); err == nil {
				t.Fatal("the injected fault was not met")
			}
			p.out.Fail = nil
			handleAll(t, p.identify(), crm(t, events.CRMEvents, meanwhile...))
			handleAll(t, p.identify(), old)
			if got := p.enriched(t); len(got) != 1 || got[0].Contact != "anna" {
				t.Errorf("told %+v, want one of anna", got)
			}
		})
	}
}

// A login that everybody uses must not grow an item without end, and must not
// hold up the logins behind it.
func TestAContactOfTooManyDevicesHoldsNothingUp(t *testing.T) {
	p := newPeople()
	var logins []any
	for i := range 1001 {
		logins = append(logins, login(fmt.Sprint("phone-", i), "everybody", noon))
	}
	logins = append(logins, login("phone-7", "everybody", noon.Add(time.Hour)), login("phone", "ann", noon))
	if err := p.identify().Handle(t.Context(), crm(t, events.CRMEvents, logins...).All()); err != nil {
		t.Fatal(err)
	}
	dead := p.out.On("crm-events-dead-letters")
	if len(dead) != 1 || stagetest.Header(dead[0], stage.HeaderReason) != string(events.TooManyDevices) || stagetest.Header(dead[0], stage.HeaderOffset) != "1000" {
		t.Errorf("%d dead letters, want that of offset 1000", len(dead))
	}
	if got := len(p.out.On(events.Sightings)); got != 1002 {
		t.Errorf("%d logins were taken, want 1002", got)
	}
}

func TestIdentifyTellsOwnersAndMakesALoginASighting(t *testing.T) {
	p := newPeople()
	err := p.identify().Handle(t.Context(), crm(t, events.CRMEvents,
		login("phone", "ann", noon), merged("ann", "anna", noon.Add(time.Hour)), deleted("anna", noon.Add(2*time.Hour)),
	).All())
	if err != nil {
		t.Fatal(err)
	}
	owners := p.out.On(events.DeviceContacts)
	var said []string
	for _, r := range owners {
		if r.Value == nil {
			said = append(said, "nobody")
			continue
		}
		o, err := events.DecodeDeviceContact(r.Key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(o.Contact))
	}
	if want := []string{"ann", "anna", "nobody"}; !slices.Equal(said, want) {
		t.Errorf("owners told: %v, want %v", said, want)
	}
	seen := p.out.On(events.Sightings)
	var s events.SightingsRecord
	if len(seen) != 1 {
		t.Fatalf("%d sightings, want 1", len(seen))
	}
	if err := events.DecodeSightings(seen[0].Key, seen[0].Value, &s); err != nil || !s.Sighting.Associated || !s.Sighting.SeenAt.Equal(noon) {
		t.Errorf("sighting %+v: %v", s.Sighting, err)
	}
	if err := p.identify().Handle(t.Context(), crm(t, events.CRMEventsBackfill, login("phone", "ann", noon)).All()); err != nil {
		t.Fatal(err)
	}
	if got := len(p.out.On(events.Sightings)); got != 1 {
		t.Errorf("a login from the backfill made a sighting")
	}
}

// Given again in any way, and with any part of the CRM events from after a
// walk-in processed before it, walk-ins end with the same attributions as when
// every login is known before.
func TestAttributionDoesNotDependOnTheOrderOfWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logins, visits := &stagetest.Partition{Topic: events.CRMEvents}, &stagetest.Partition{Topic: events.WalkIns}
		minutes := rapid.SliceOfNDistinct(rapid.IntRange(0, 600), 2, 12, rapid.ID).Draw(t, "minutes")
		slices.Sort(minutes)
		known := []int{} // per walk-in, how many logins are from before it
		for _, m := range minutes {
			at, device := noon.Add(time.Duration(m)*time.Minute), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "device")
			if rapid.Bool().Draw(t, "login") {
				contact := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "contact")
				logins.Put(t, events.BusinessKey(cafe), login(device, contact, at))
			} else {
				visit := walkInsAt(t, events.DeviceID(device), at).Records[0]
				visits.PutRaw(visit.Key, visit.Value)
				known = append(known, len(logins.Records))
			}
		}
		calm, rough := newPeople(), newPeople()
		handle(t, calm.identify(), logins, 0, len(logins.Records))
		handle(t, calm.enrich(), visits, 0, len(visits.Records))
		done := 0
		for i := range visits.Records {
			for done < known[i] || done < len(logins.Records) && rapid.Bool().Draw(t, "ahead") {
				handle(t, rough.identify(), logins, done, done+1)
				done++
			}
			handle(t, rough.enrich(), visits, i, i+1)
		}
		handle(t, rough.identify(), logins, done, len(logins.Records))
		if got, want := stagetest.Distinct(rough.enriched(t)), stagetest.Distinct(calm.enriched(t)); !slices.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

// handle gives the records from from to to, and some of those before again.
func handle(t *rapid.T, h stage.Handler, l *stagetest.Partition, from, to int) {
	from -= rapid.IntRange(0, from).Draw(t, "givenAgain")
	if from == to {
		return
	}
	if err := h.Handle(context.Background(), l.Batch(from, to)); err != nil {
		t.Fatal(err)
	}
}

// handleAll gives a stage everything at once.
func handleAll(t *testing.T, h stage.Handler, l *stagetest.Partition) {
	t.Helper()
	if len(l.Records) == 0 {
		return
	}
	if err := h.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
}

func endsAt(t rapid.TB, device events.DeviceID, start time.Time, stays ...time.Duration) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: events.VisitsEnded}
	for _, stay := range stays {
		l.Put(t, events.DeviceKey(cafe, device), &events.VisitEnded{
			ID: events.NewWalkInID(cafe, device, start), Business: cafe, Device: device,
			StartedAt: start, LastSeenAt: start.Add(stay), DwellMillis: stay.Milliseconds(), Resident: device == "till",
			Anonymous: device == "phone", // its address is randomised, and somebody's all the same
		})
	}
	return l
}

// Whichever of a walk-in, a login and the end of the visit comes first, the last
// word is whose it was and how long it lasted.
func TestTheEndIsToldWithItsWalkIn(t *testing.T) {
	const hour, shorter = time.Hour, 40 * time.Minute
	for _, order := range []string{"wle", "wel", "lwe", "lew", "ewl", "elw"} {
		p := newPeople()
		for _, step := range order {
			var err error
			switch step {
			case 'w':
				err = p.enrich().Handle(t.Context(), walkInsAt(t, "phone", noon).All())
			case 'l':
				err = p.identify().Handle(t.Context(), crm(t, events.CRMEvents, login("phone", "ann", noon.Add(10*time.Minute))).All())
			case 'e':
				err = p.enrich().Handle(t.Context(), endsAt(t, "phone", noon, shorter, hour, shorter).All())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		all := stagetest.Decode(t, p.out.On(events.EnrichedWalkIns), events.DecodeEnrichedWalkIn)
		if len(all) == 0 {
			t.Fatalf("%s: nothing told", order)
		}
		if last := all[len(all)-1]; last.Contact != "ann" || !last.Ended || last.DwellMillis != hour.Milliseconds() {
			t.Errorf("%s: told at last %+v, want ann for an hour", order, last)
		}
	}
}

// ends counts the calls of End.
type ends struct {
	stage.Pending
	calls int
}

func (e *ends) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	e.calls++
	return e.Pending.End(ctx, a, expires)
}

// Ends of a visit cost one call in a batch, those of what is no customer's none.
func TestEndsAreFolded(t *testing.T) {
	p := newPeople()
	counted := &ends{Pending: p.pending}
	p.pending = counted
	l := endsAt(t, "phone", noon, time.Hour, 2*time.Hour, time.Minute)
	l.Records = append(l.Records, endsAt(t, "till", noon, time.Hour).Records...)
	l.PutRaw([]byte("cafe/phone"), nil)
	if err := p.enrich().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	if counted.calls != 1 {
		t.Errorf("%d calls, want 1", counted.calls)
	}
	if dead := p.out.On(events.VisitsEnded + "-dead-letters"); len(dead) != 1 {
		t.Errorf("%d dead letters, want that of the null", len(dead))
	}
}
