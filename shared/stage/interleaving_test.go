package stage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
)

// seeds is how many orders of calls each case is tried in.
const seeds = 1000

// eachOrder runs a case in many orders of its calls.
func eachOrder(t *testing.T, test func(t *testing.T, p inTurns)) {
	t.Helper()
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := inTurns{&turns{random: random, faults: random.IntN(6)}, *newPeople(), memory.NewCounts()}
		test(t, p)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomised(contact string, at time.Time) *events.PortalLogin {
	l := login("phone", contact, at)
	l.Randomised = true
	return l
}

// A walk-in at noon and the logins of its device meet, each under two pollers,
// with calls and answers lost: it goes to one contact, one of those wanted, and
// to nobody else.
func TestAWalkInThatMeetsLoginsIsTheirsOnce(t *testing.T) {
	after := noon.Add(10 * time.Minute)
	longAgo := noon.Add(-50 * 24 * time.Hour)
	cases := map[string]struct {
		known          []any // processed before
		live, backfill []any
		want           []string
	}{
		"one login":         {live: []any{login("phone", "ann", after)}, want: []string{"ann"}},
		"a login before it": {backfill: []any{login("phone", "ann", noon.Add(-time.Hour))}, want: []string{"ann"}},
		"two logins on two topics": {
			live: []any{login("phone", "ann", after)}, backfill: []any{login("phone", "bob", after.Add(-time.Minute))}, want: []string{"ann", "bob"},
		},
		"two logins one after the other": {
			live: []any{login("phone", "ann", after), login("phone", "bob", after.Add(time.Minute))}, want: []string{"ann"},
		},
		"an address that expired": {
			known: []any{randomised("carl", longAgo)}, live: []any{randomised("ann", after)}, want: []string{"ann"},
		},
		"an address that expired, of the same contact": {
			known: []any{randomised("ann", longAgo)}, live: []any{randomised("ann", after)}, want: []string{"ann"},
		},
		"a deletion before it that is told with the login": {
			live: []any{deleted("ann", noon.Add(-30*time.Minute))}, backfill: []any{login("phone", "ann", noon.Add(-time.Hour))}, want: []string{"ann", ""},
		},
		"a merge after the login": {
			live: []any{login("phone", "dora", after), merged("dora", "dorothy", after.Add(time.Minute))}, want: []string{"dora"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			visit := walkInsAt(t, "phone", noon)
			eachOrder(t, func(t *testing.T, p inTurns) {
				handleAll(t, p.people.identify(), crm(t, events.CRMEvents, c.known...))
				live, backfill := crm(t, events.CRMEvents, c.live...), crm(t, events.CRMEventsBackfill, c.backfill...)
				p.run(
					p.poller(p.enrich(), visit), p.poller(p.enrich(), visit),
					p.poller(p.identify(), live), p.poller(p.identify(), live), p.poller(p.identify(), backfill),
				)
				stored, err := p.pending.OfDevice(t.Context(), stage.IdentityKey{Business: cafe, Device: "phone"}, noon)
				if err != nil || len(stored) != 1 {
					t.Fatalf("%d walk-ins stored: %v", len(stored), err)
				}
				told := ""
				for _, e := range p.enriched(t) {
					told += string(e.Contact) // p.enriched gives each record once
				}
				if told != string(stored[0].Contact) || !slices.Contains(c.want, told) {
					t.Errorf("told as %q's, stored as %q's, want one of %q", told, stored[0].Contact, c.want)
				}
			})
		})
	}
}

func handleAll(t *testing.T, h stage.Handler, l *partitionLog) {
	t.Helper()
	if len(l.records) == 0 {
		return
	}
	if err := h.Handle(t.Context(), l.all()); err != nil {
		t.Fatal(err)
	}
}

// A login from the backfill and the deletion of its contact meet: nobody owns
// the device in the end.
func TestADeletionThatMeetsAnOlderLoginEndsIt(t *testing.T) {
	eachOrder(t, func(t *testing.T, p inTurns) {
		old := crm(t, events.CRMEventsBackfill, login("phone", "ann", noon.Add(-24*time.Hour)))
		live := crm(t, events.CRMEvents, deleted("ann", noon.Add(-time.Hour)))
		p.run(p.poller(p.identify(), old), p.poller(p.identify(), old), p.poller(p.identify(), live))
		key := stage.IdentityKey{Business: cafe, Device: "phone"}
		histories, _, err := p.identities.Devices(t.Context(), []stage.IdentityKey{key})
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := histories[0].Owner(noon); ok {
			t.Errorf("the device is %s's after the deletion: %+v", b.Contact, histories[0])
		}
	})
}

// A login from the backfill and the merge of its contact meet: the device is the
// other contact's in the end.
func TestAMergeThatMeetsAnOlderLoginTakesItAlong(t *testing.T) {
	eachOrder(t, func(t *testing.T, p inTurns) {
		old := crm(t, events.CRMEventsBackfill, login("phone", "ann", noon.Add(-24*time.Hour)))
		live := crm(t, events.CRMEvents, merged("ann", "anna", noon.Add(-time.Hour)))
		p.run(p.poller(p.identify(), old), p.poller(p.identify(), old), p.poller(p.identify(), live))
		key := stage.IdentityKey{Business: cafe, Device: "phone"}
		histories, _, err := p.identities.Devices(t.Context(), []stage.IdentityKey{key})
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := histories[0].Owner(noon); b.Contact != "anna" {
			t.Errorf("the device is %q's after the merge: %+v", b.Contact, histories[0])
		}
	})
}

// A live login and one from the backfill meet: what compaction keeps of the
// device's owner, the last record, is what is stored.
func TestTheLastOwnerToldIsTheOneStored(t *testing.T) {
	eachOrder(t, func(t *testing.T, p inTurns) {
		old := crm(t, events.CRMEventsBackfill, login("phone", "ann", noon.Add(-24*time.Hour)))
		live := crm(t, events.CRMEvents, login("phone", "bob", noon))
		p.run(p.poller(p.identify(), old), p.poller(p.identify(), live), p.poller(p.identify(), live))
		told := p.out.on(events.DeviceContacts)
		last := told[len(told)-1]
		owner, err := events.DecodeDeviceContact(last.Key, last.Value)
		if err != nil || owner.Contact != "bob" {
			t.Errorf("the last record says %+v (%v), want bob", owner, err)
		}
	})
}

// Two pollers count the same and other walk-ins of a contact: the highest
// version that is told is what the table has in the end.
func TestTheHighestVersionToldIsTheCount(t *testing.T) {
	enriched := &partitionLog{topic: events.EnrichedWalkIns}
	for i := range 4 {
		at := noon.AddDate(0, i%2, i)
		enriched.put(t, events.ContactKey(cafe, "ann"), &events.EnrichedWalkIn{
			ID: events.NewWalkInID(cafe, "phone", at), Business: cafe, Device: "phone", Contact: "ann", StartedAt: at, BoundAt: noon,
		})
	}
	eachOrder(t, func(t *testing.T, p inTurns) {
		p.run(p.poller(p.count(), enriched), p.poller(p.count(), enriched), p.poller(p.count(), enriched))
		var highest events.WalkInCount
		for _, c := range decodeRecords(t, p.out.on(events.WalkInCounts), events.DecodeWalkInCount) {
			if c.Version > highest.Version {
				highest = c
			}
		}
		want := fmt.Sprint(len(enriched.records), len(enriched.records)/2)
		if got := fmt.Sprint(highest.Total, highest.MonthTotal); got != want {
			t.Errorf("total and month of the highest version are %s, want %s", got, want)
		}
	})
}
