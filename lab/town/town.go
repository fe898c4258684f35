package town

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/recording"
)

// Town is what happened in a town and what its routers told.
type Town struct {
	Config Config
	Visits []Visit // what really took place, in order of entering
	// Statics and Employees are the devices that are no customers': things, and
	// what those who work there carry.
	Statics, Employees []Resident
	plan               *plan
}

// Resident is a device that belongs to a business, or to somebody who works there.
type Resident struct {
	Business events.BusinessID
	Device   events.DeviceID
}

// Generate lets a town live. Its error lists everything that is wrong with c.
func Generate(c Config) (Town, error) {
	if err := c.Validate(); err != nil {
		return Town{}, fmt.Errorf("the town cannot be: %w", err)
	}
	t := Town{Config: c, plan: newPlan(c)}
	for _, st := range t.plan.stays {
		if !st.works {
			t.Visits = append(t.Visits, st.visit)
		}
	}
	for _, s := range t.plan.shops {
		for _, d := range s.statics {
			t.Statics = append(t.Statics, Resident{s.ID, d.id})
		}
		for _, d := range s.employees {
			t.Employees = append(t.Employees, Resident{s.ID, d.id})
		}
	}
	return t, nil
}

// Items gives what reached the platform, in order of arrival: first the logins
// of earlier weeks, as a backfill that arrives when the town begins; then the
// sightings and CRM events. A day of the default town is about 150,000 items.
// They are made day by day while they are given, the same at every call, and no
// more than one day is in memory. The last ones arrive up to 40 minutes after
// the end.
func (t Town) Items() iter.Seq[recording.Item] {
	return func(yield func(recording.Item) bool) {
		now := &today{plan: t.plan}
		for at := t.Config.Start; at.Before(t.plan.end); at = at.Add(day) {
			now.begin(at)
			next := at.Add(day)
			if !next.Before(t.plan.end) {
				next = t.plan.end.Add(day) // all that is left
			}
			if !now.give(next, yield) {
				return
			}
		}
	}
}

// today is one day in the making. A post can arrive after midnight, so some of
// its items are given only on the next one.
type today struct {
	plan     *plan
	midnight time.Time
	outages  []outage
	items    []recording.Item // of this day, and of the days before what has not arrived
	stays    int              // of the plan, done
	crm      int
}

// begin makes the items of a day. Items of a day never arrive before its
// midnight, so once a day is given, nothing can be missing before it.
func (t *today) begin(midnight time.Time) {
	t.midnight = midnight
	t.outages = t.plan.outagesOf(midnight)
	next := midnight.Add(day)
	for ; t.crm < len(t.plan.crm) && t.plan.crm[t.crm].At().Before(next); t.crm++ {
		t.tell(&t.plan.crm[t.crm])
	}
	byID := make(map[events.BusinessID]*shop)
	for _, s := range t.plan.shops {
		byID[s.ID] = s
		t.street(s)
		for _, d := range s.neighbours {
			t.always(s, d, house)
		}
		for _, d := range s.statics {
			t.always(s, d, shelf)
		}
	}
	for ; t.stays < len(t.plan.stays) && t.plan.stays[t.stays].visit.Enter.Before(next); t.stays++ {
		st := t.plan.stays[t.stays]
		t.stay(byID[st.visit.Business], st)
	}
	slices.SortStableFunc(t.items, func(a, b recording.Item) int {
		return cmp.Or(a.ArrivedAt.Compare(b.ArrivedAt), a.Sighting.SeenAt.Compare(b.Sighting.SeenAt))
	})
}

// give yields what arrives before next and keeps the rest for another day. It
// tells whether more is wanted.
func (t *today) give(next time.Time, yield func(recording.Item) bool) bool {
	for i, it := range t.items {
		if !it.ArrivedAt.Before(next) {
			t.items = slices.Delete(t.items, 0, i)
			return true
		}
		if !yield(it) {
			return false
		}
	}
	t.items = t.items[:0]
	return true
}

// tell lets a CRM event arrive, shortly after it took place. What took place
// before the beginning arrives with it.
func (t *today) tell(e *events.CRMEvent) {
	h := hash(t.plan.config.Seed, postStream, uint64(t.crm))
	arrived := e.At().Add(100*time.Millisecond + time.Duration(unit(h)*float64(3*time.Second)).Truncate(time.Millisecond))
	if arrived.Before(t.plan.config.Start) {
		arrived = t.plan.config.Start
	}
	t.items = append(t.items, recording.Item{CRM: e, ArrivedAt: arrived})
}
