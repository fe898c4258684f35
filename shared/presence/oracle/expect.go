package oracle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"footfall/shared/presence"
)

// Record is one record of a partition of sightings: a tick, where Tick is set,
// or a sighting of a device, which is named by its record key
// "business/device".
type Record struct {
	Tick     presence.Instant
	Device   string
	Sighting presence.Sighting
}

// maxAhead is how far ahead of the clock a sighting is taken for nonsense.
const maxAhead = 24 * time.Hour

// PartitionVisits gives the visits of every device in a partition, whose records are
// in the order of the topic, and how many sightings came too late to count.
func PartitionVisits(partition []Record, r presence.Rules) (visits map[string][]Visit, late int) {
	return PartitionVisitsAfter(map[string]Past{}, partition, r)
}

// PartitionVisitsAfter does the same for a partition of which a part was read before. past
// is what that part told of each device, and takes in what this one tells. No
// visit may lie in both.
func PartitionVisitsAfter(past map[string]Past, partition []Record, r presence.Rules) (visits map[string][]Visit, late int) {
	counted := map[string][]presence.Sighting{}
	var clock presence.Instant
	for _, h := range partition {
		if h.Tick != 0 {
			clock = max(clock, h.Tick)
			continue
		}
		at := h.Sighting.SeenAt
		if clock != 0 && at.Time().Sub(clock.Time()) > maxAhead {
			continue
		}
		if clock != 0 && clock.Time().Sub(at.Time()) > r.Lateness {
			late++
			if !fallsIntoOpenVisit(counted[h.Device], h.Sighting, clock, r) {
				continue
			}
		}
		counted[h.Device] = append(counted[h.Device], h.Sighting)
	}
	visits = map[string][]Visit{}
	for device, sightings := range counted {
		p := past[device]
		if p == nil {
			p = Past{}
		}
		if v := p.Visits(sightings, r); len(v) > 0 {
			visits[device] = v
		}
		if len(p) > 0 {
			past[device] = p
		}
	}
	return visits, late
}

// fallsIntoOpenVisit reads the device's visits anew and looks whether s lies in
// the latest of them, and that one can still be prolonged.
func fallsIntoOpenVisit(sightings []presence.Sighting, s presence.Sighting, clock presence.Instant, r presence.Rules) bool {
	visits := stays(sightings, r)
	if len(visits) == 0 {
		return false
	}
	v := &visits[len(visits)-1]
	steps := int64(v.silence() / presence.Grid)
	open := v.Open && number(clock) < number(v.Last)+steps+2
	return open && number(s.SeenAt) >= number(v.Start) && (number(s.SeenAt) <= number(v.Last) || v.belongs(s))
}

// CRM is one CRM event: a login where Device is set, a merge where Into is, else
// a deletion. Device is named by its record key; contacts are too.
type CRM struct {
	At      time.Time
	Device  string
	Contact string // "business/contact"
	Into    string // "business/contact"
}

// AttributedContact gives the contact that a walk-in of a device at start is attributed to,
// "" for none. Events are in the order of their time. It knows of no binding
// that expires, so it holds for histories shorter than presence.BindingExpiry.
func AttributedContact(device string, start time.Time, crm []CRM) (contact string, late bool) {
	owner := ""
	for _, e := range crm {
		if e.At.After(start) {
			break
		}
		switch {
		case e.Device == device:
			owner = e.Contact
		case e.Device == "" && owner == e.Contact:
			owner = e.Into
		}
	}
	if owner != "" {
		return owner, false
	}
	i := slices.IndexFunc(crm, func(e CRM) bool { return e.Device == device && e.At.After(start) })
	if i >= 0 && crm[i].At.Sub(start) <= presence.LoginWindow {
		return crm[i].Contact, true
	}
	return "", false
}

// Stay is a visit of a device of some contact.
type Stay struct {
	ID, Device  string
	Start, Last time.Time // Last is zero where nobody knows that it is over
	CountedByID bool      // it counts whatever else there is
}

// Companion says whether a stay is one visit with another of the same contact:
// another device was in the store already when this one came. Times are read on
// the grid; of two that came in the same step the first by its id counts.
func Companion(s Stay, all []Stay) bool {
	return slices.ContainsFunc(all, func(o Stay) bool {
		last := o.Last
		if last.IsZero() {
			last = o.Start.Add(24 * time.Hour)
		}
		came, other, left := number(presence.InstantOf(s.Start)), number(presence.InstantOf(o.Start)), number(presence.InstantOf(last))
		before := other < came || other == came && o.ID < s.ID
		return o.Device != s.Device && before && came <= left
	})
}

// Count gives how many of a contact's stays count, by month.
func Count(all []Stay) map[string]int {
	months := map[string]int{}
	for _, s := range all {
		if s.CountedByID || !Companion(s, all) {
			months[presence.MonthOf(s.Start)]++
		}
	}
	return months
}

// Expected is what a run must have told.
type Expected struct {
	WalkIns  int
	Late     int               // sightings too late to count
	Enriched int               // walk-ins of a contact
	Stays    map[string][]Stay // by "business/contact", what its devices did in all partitions
}

// AddWalkIn adds a walk-in of a contact.
func (e *Expected) AddWalkIn(contact string, s Stay) {
	if e.Stays == nil {
		e.Stays = map[string][]Stay{}
	}
	e.Enriched++
	e.Stays[contact] = append(e.Stays[contact], s)
}

// Counts gives how often each contact has come, once all is taken in.
func (e *Expected) Counts() map[string]int {
	counts := map[string]int{}
	for contact, stays := range e.Stays {
		for _, n := range Count(stays) {
			counts[contact] += n
		}
	}
	return counts
}

// AddPartition takes in one partition of sightings, given all CRM events. Both are as
// the topics hold them, so a login is among the sightings too.
func (e *Expected) AddPartition(partition []Record, crm []CRM, r presence.Rules) {
	crm = slices.Clone(crm)
	slices.SortStableFunc(crm, func(a, b CRM) int { return a.At.Compare(b.At) })
	visits, late := PartitionVisits(partition, r)
	e.Late += late
	for device, all := range visits {
		business, _, _ := strings.Cut(device, "/")
		mine := slices.DeleteFunc(slices.Clone(crm), func(c CRM) bool {
			return !strings.HasPrefix(c.Contact, business+"/")
		})
		for _, v := range all {
			if v.Resident {
				continue
			}
			e.WalkIns++
			start := v.Start.Time()
			if contact, _ := AttributedContact(device, start, mine); contact != "" {
				e.AddWalkIn(contact, Stay{fmt.Sprint(device, start), device, start, v.Last.Time(), false})
			}
		}
	}
}
