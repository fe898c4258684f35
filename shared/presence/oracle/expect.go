package oracle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"footfall/shared/presence"
)

// Record is one record of a partition of sightings: a tick if Tick is set, else a
// sighting of a device. Device is the record key, "business/device".
type Record struct {
	Tick     presence.Instant
	Device   string
	Sighting presence.Sighting
}

// maxAhead is how far ahead of the watermark a sighting may be; one further ahead
// is a dead letter.
const maxAhead = 24 * time.Hour

// PartitionVisits returns the visits of every device in a partition, whose
// records are in the order of the topic, and the number of late sightings.
func PartitionVisits(partition []Record, r presence.Rules) (visits map[string][]Visit, late int) {
	return PartitionVisitsAfter(map[string]Past{}, partition, r)
}

// PartitionVisitsAfter does the same for the part of a partition after one that
// was read before. past holds the earlier visits of each device, and the visits of
// this part are added to it. No visit may lie in both parts.
func PartitionVisitsAfter(past map[string]Past, partition []Record, r presence.Rules) (visits map[string][]Visit, late int) {
	// Collect the sightings of each device that count.
	counted := map[string][]presence.Sighting{}
	var watermark presence.Instant
	for _, rec := range partition {
		if rec.Tick != 0 {
			watermark = max(watermark, rec.Tick)
			continue
		}
		seenAt := rec.Sighting.SeenAt
		if watermark != 0 && seenAt.Time().Sub(watermark.Time()) > maxAhead {
			continue
		}
		// Lateness: a late sighting counts only inside an open visit.
		if watermark != 0 && watermark.Time().Sub(seenAt.Time()) > r.Lateness {
			late++
			if !fallsIntoOpenVisit(counted[rec.Device], rec.Sighting, watermark, r) {
				continue
			}
		}
		counted[rec.Device] = append(counted[rec.Device], rec.Sighting)
	}

	// Apply the rules to each device in the order of time.
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

// fallsIntoOpenVisit computes the visits of a device from its sightings so far,
// and reports whether s lies in the latest visit while it can still be extended.
func fallsIntoOpenVisit(sightings []presence.Sighting, s presence.Sighting, watermark presence.Instant, r presence.Rules) bool {
	visits := stays(sightings, r)
	if len(visits) == 0 {
		return false
	}
	v := &visits[len(visits)-1]
	open := v.Open && stepOf(watermark) < v.reach()+2
	return open && stepOf(s.SeenAt) >= stepOf(v.Start) && (stepOf(s.SeenAt) <= stepOf(v.Last) || v.belongs(s))
}

// CRM is one CRM event: a login if Device is set, a merge if Into is set, else a
// deletion. Devices and contacts are named by their record keys.
type CRM struct {
	At         time.Time
	Device     string
	Randomised bool   // of a login: the device's address is randomised
	Contact    string // "business/contact"
	Into       string // "business/contact"
}

// AttributedContact returns the contact that a walk-in of a device is attributed
// to, "" if it is unattributed, for a device without earlier walk-ins. start is the
// start of the visit, crm the events in the order of their time. late reports
// whether the contact is that of a login after the start.
func AttributedContact(device string, start time.Time, crm []CRM) (contact string, late bool) {
	a := Attributions(device, []time.Time{start}, crm)[0]
	return a.Contact, a.Late
}

// Attribution is the contact that a walk-in is attributed to, "" if the walk-in is
// unattributed. Late reports whether the contact is that of a login after the start.
type Attribution struct {
	Contact string
	Late    bool
}

// renewal is how long after the latest login or renewing walk-in of a device a
// walk-in renews the binding of a randomised address.
const renewal = 24 * time.Hour

// binding is what a device is bound to at a moment.
type binding struct {
	device     string
	randomised bool
	owner      string    // "" for none
	since      time.Time // the login or the merge that the binding begins with
	seen       time.Time // the latest login or renewing walk-in
}

// expired reports whether the binding has expired by a moment.
func (b *binding) expired(moment time.Time) bool {
	latest := b.since
	if b.seen.After(latest) {
		latest = b.seen
	}
	return b.randomised && moment.Sub(latest) > presence.BindingExpiry
}

// apply applies a CRM event: logins bind the device, merges and deletions of the
// contact that it is bound to change that.
func (b *binding) apply(e CRM) {
	switch {
	case e.Device == b.device:
		b.owner, b.since, b.seen = e.Contact, e.At, e.At
	case e.Device != "" || b.owner != e.Contact:
		// An event of others.
	case e.Into == "" || b.expired(e.At):
		b.owner = ""
	default:
		b.owner, b.since = e.Into, e.At
	}
}

// Attributions returns the attributions of all walk-ins of a device. starts are the
// starts of the visits and crm the CRM events, both in the order of their time. The
// binding of a randomised address expires presence.BindingExpiry after the login or
// the merge that it begins with, or the latest walk-in that renewed it.
func Attributions(device string, starts []time.Time, crm []CRM) []Attribution {
	b := binding{device: device}
	b.randomised = slices.ContainsFunc(crm, func(e CRM) bool { return e.Device == device && e.Randomised })
	all := make([]Attribution, len(starts))
	for i, start := range starts {
		// Follow the device up to the start.
		for len(crm) > 0 && !crm[0].At.After(start) {
			b.apply(crm[0])
			crm = crm[1:]
		}
		if b.owner != "" && !b.expired(start) {
			all[i].Contact = b.owner
			if start.Sub(b.seen) >= renewal {
				b.seen = start
			}
			continue
		}

		// Otherwise the first login after the start counts, within the login window.
		n := slices.IndexFunc(crm, func(e CRM) bool { return e.Device == device })
		if n >= 0 && crm[n].At.Sub(start) <= presence.LoginWindow {
			all[i] = Attribution{crm[n].Contact, true}
		}
	}
	return all
}

// Stay is a visit of one device of a contact.
type Stay struct {
	ID, Device  string
	Start, Last time.Time // Last is zero if no end of the visit is known
	CountedByID bool      // counted before there were facts, so no companion
}

// Companion reports whether a stay is a companion, among all stays of its contact:
// another device was in the store already when this one came. Times are compared
// on the grid; of two devices that came in the same step, the one with the lower
// id counts. A stay without an end lasts for 24 hours.
func Companion(s Stay, all []Stay) bool {
	return slices.ContainsFunc(all, func(o Stay) bool {
		last := o.Last
		if last.IsZero() {
			last = o.Start.Add(24 * time.Hour)
		}
		start := stepOf(presence.InstantOf(s.Start))
		otherStart, otherLast := stepOf(presence.InstantOf(o.Start)), stepOf(presence.InstantOf(last))
		before := otherStart < start || otherStart == start && o.ID < s.ID
		return o.Device != s.Device && before && start <= otherLast
	})
}

// Count returns how many of the stays of a contact count, by month.
func Count(all []Stay) map[string]int {
	months := map[string]int{}
	for _, s := range all {
		if s.CountedByID || !Companion(s, all) {
			months[presence.MonthOf(s.Start)]++
		}
	}
	return months
}

// Expected holds what a run must have emitted.
type Expected struct {
	WalkIns  int
	Late     int               // late sightings
	Enriched int               // walk-ins that are attributed to a contact
	Stays    map[string][]Stay // stays of the devices of a contact in all partitions, by "business/contact"
}

// AddWalkIn adds a walk-in that is attributed to a contact.
func (e *Expected) AddWalkIn(contact string, s Stay) {
	if e.Stays == nil {
		e.Stays = map[string][]Stay{}
	}
	e.Enriched++
	e.Stays[contact] = append(e.Stays[contact], s)
}

// Counts returns the number of visits of each contact that count. It must be
// called after all partitions are added.
func (e *Expected) Counts() map[string]int {
	counts := map[string]int{}
	for contact, stays := range e.Stays {
		for _, n := range Count(stays) {
			counts[contact] += n
		}
	}
	return counts
}

// AddPartition adds one partition of sightings, given all CRM events. Both are as
// the topics hold them, so the sighting that a login makes is in the partition.
func (e *Expected) AddPartition(partition []Record, crm []CRM, r presence.Rules) {
	crm = slices.Clone(crm)
	slices.SortStableFunc(crm, func(a, b CRM) int { return a.At.Compare(b.At) })
	visits, late := PartitionVisits(partition, r)
	e.Late += late
	for device, all := range visits {
		// Only events of the same business attribute a walk-in.
		business, _, _ := strings.Cut(device, "/")
		ofBusiness := slices.DeleteFunc(slices.Clone(crm), func(c CRM) bool {
			return !strings.HasPrefix(c.Contact, business+"/")
		})
		all = slices.DeleteFunc(all, func(v Visit) bool { return v.Resident })
		var starts []time.Time
		for _, v := range all {
			starts = append(starts, v.Start.Time())
		}
		e.WalkIns += len(all)
		for i, a := range Attributions(device, starts, ofBusiness) {
			if a.Contact != "" {
				e.AddWalkIn(a.Contact, Stay{fmt.Sprint(device, starts[i]), device, starts[i], all[i].Last.Time(), false})
			}
		}
	}
}
