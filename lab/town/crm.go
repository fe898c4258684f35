package town

import (
	"slices"
	"time"

	"footfall/events"
)

// changeContacts merges and deletes contacts in the last hours of a day, one
// after the other: a deleted contact cannot be merged any more.
func (p *plan) changeContacts(midnight time.Time) {
	d := newDice(p.config.Seed, planStream, uint64(len(p.shops)), uint64(midnight.Unix()))
	merges := p.config.CRM.Merges
	times := make([]time.Time, merges+p.config.CRM.Deletions)
	for i := range times {
		times[i] = midnight.Add(d.between(21*time.Hour, day))
	}
	slices.SortFunc(times, time.Time.Compare)
	// Merges and deletions in random order, at ascending times.
	for i, which := range d.Perm(len(times)) {
		if which < merges {
			p.merge(d, times[i])
		} else {
			p.delete(d, times[i])
		}
	}
}

// merge merges one contact of a random business into another; the surviving
// contact keeps the devices of both. Nothing happens unless two contacts have
// been away for long enough.
func (p *plan) merge(d dice, at time.Time) {
	s := p.shops[d.IntN(len(p.shops))]
	away := p.away(s, at)
	if len(away) < 2 || !at.Before(p.end) {
		return
	}
	d.Shuffle(len(away), func(i, j int) { away[i], away[j] = away[j], away[i] })
	gone, survivor := away[0], away[1]
	p.crm = append(p.crm, events.CRMEvent{Changed: &events.ContactChanged{
		Business: s.ID, Contact: gone.contact, MergedInto: survivor.contact, At: at,
	}})
	survivor.devices = append(survivor.devices, gone.devices...)
	s.regulars = slices.DeleteFunc(s.regulars, func(r *person) bool { return r == gone })
}

// delete deletes a contact from the CRM. The person continues to come, without
// a contact.
func (p *plan) delete(d dice, at time.Time) {
	s := p.shops[d.IntN(len(p.shops))]
	away := p.away(s, at)
	if len(away) == 0 || !at.Before(p.end) {
		return
	}
	deleted := away[d.IntN(len(away))]
	p.crm = append(p.crm, events.CRMEvent{Deleted: &events.ContactDeleted{
		Business: s.ID, Contact: deleted.contact, At: at,
	}})
	deleted.contact = ""
}

// away returns the regulars with a contact that have been away for long enough
// to be merged or deleted: every effect of the change on their latest visit is
// then over.
func (p *plan) away(s *shop, at time.Time) []*person {
	var out []*person
	for _, r := range s.regulars {
		if r.contact != "" && at.Sub(r.left) >= p.config.CRM.Quiet {
			out = append(out, r)
		}
	}
	return out
}
