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

// Town holds the true visits of a town and can return the items that its
// routers and CRMs sent.
type Town struct {
	Config Config
	Visits []Visit // the true visits of customers, in order of entering
	Shifts []Visit // the working days of employees, in order of entering
	// Statics and Employees are the resident devices: things of the store, and
	// the phones of employees.
	Statics, Employees []Resident
	plan               *plan
}

// Resident is a device that belongs to a business or to an employee.
type Resident struct {
	Business events.BusinessID
	Device   events.DeviceID
}

// Generate plans a town. Its error lists every mistake in c.
func Generate(c Config) (Town, error) {
	if err := c.Validate(); err != nil {
		return Town{}, fmt.Errorf("generating the town: the configuration is invalid: %w", err)
	}
	t := Town{Config: c, plan: newPlan(c)}
	// Set the working days of employees apart from visits.
	for _, st := range t.plan.stays {
		switch {
		case !st.employee:
			t.Visits = append(t.Visits, st.visit)
		case st.visit.Enter.Before(t.plan.end):
			t.Shifts = append(t.Shifts, st.visit)
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

// Items returns the items that reached the platform, in order of arrival. First
// come the logins of earlier weeks, as a backfill that arrives at the start of
// the town; then the sightings and CRM events. A day of the default town has
// about 150,000 items. The items are made day by day during the iteration, the
// same at every call, and memory holds no more than one day. The last items
// arrive up to 40 minutes after the end.
func (t Town) Items() iter.Seq[recording.Item] {
	return func(yield func(recording.Item) bool) {
		current := &today{plan: t.plan}
		for at := t.Config.Start; at.Before(t.plan.end); at = at.Add(day) {
			current.begin(at)
			next := at.Add(day)
			if !next.Before(t.plan.end) {
				next = t.plan.end.Add(day) // all remaining items
			}
			if !current.yieldUntil(next, yield) {
				return
			}
		}
	}
}

// today holds one day while it is made. A post can arrive after midnight, so
// some items are returned only on the next day.
type today struct {
	plan     *plan
	midnight time.Time
	outages  []outage
	items    []recording.Item // of this day, and those of earlier days that have not arrived
	stays    int              // number of stays of the plan already made
	crm      int
}

// begin makes the items of a day. No item arrives before the midnight of its
// day, so once the items until midnight are returned, none can be missing.
func (t *today) begin(midnight time.Time) {
	t.midnight = midnight
	t.outages = t.plan.drawOutages(midnight)
	next := midnight.Add(day)
	// CRM events of the day.
	for ; t.crm < len(t.plan.crm) && t.plan.crm[t.crm].At().Before(next); t.crm++ {
		t.deliver(&t.plan.crm[t.crm])
	}
	// Passers-by, neighbours and devices of the store.
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
	// Stays of visitors and employees.
	for ; t.stays < len(t.plan.stays) && t.plan.stays[t.stays].visit.Enter.Before(next); t.stays++ {
		st := t.plan.stays[t.stays]
		t.addStay(byID[st.visit.Business], st)
	}
	slices.SortStableFunc(t.items, func(a, b recording.Item) int {
		return cmp.Or(a.ArrivedAt.Compare(b.ArrivedAt), a.Sighting.SeenAt.Compare(b.Sighting.SeenAt))
	})
}

// yieldUntil yields the items that arrive before next and keeps the others. It
// reports whether the consumer wants more.
func (t *today) yieldUntil(next time.Time, yield func(recording.Item) bool) bool {
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

// deliver adds a CRM event, which arrives shortly after it took place, but not
// before the town begins: earlier events arrive with its start.
func (t *today) deliver(e *events.CRMEvent) {
	h := hash(t.plan.config.Seed, postStream, uint64(t.crm))
	arrived := e.At().Add(100*time.Millisecond + time.Duration(unit(h)*float64(3*time.Second)).Truncate(time.Millisecond))
	if arrived.Before(t.plan.config.Start) {
		arrived = t.plan.config.Start
	}
	t.items = append(t.items, recording.Item{CRM: e, ArrivedAt: arrived})
}
