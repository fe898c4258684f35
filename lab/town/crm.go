package town

import (
	"slices"
	"time"

	"footfall/events"
)

// crmOfDay merges and deletes contacts in the last hours of a day, one after
// the other: who is deleted cannot be merged any more.
func (p *plan) crmOfDay(midnight time.Time) {
	d := newDice(p.config.Seed, planStream, uint64(len(p.shops)), uint64(midnight.Unix()))
	merges := p.config.CRM.Merges
	times := make([]time.Time, merges+p.config.CRM.Deletions)
	for i := range times {
		times[i] = midnight.Add(d.between(21*time.Hour, day))
	}
	slices.SortFunc(times, time.Time.Compare)
	for i, which := range d.Perm(len(times)) {
		if which < merges {
			p.merge(d, times[i])
		} else {
			p.delete(d, times[i])
		}
	}
}

// merge finds two contacts of a business to be one person, who goes on with the
// devices of both. Nothing happens where no two are known and away for long.
func (p *plan) merge(d dice, at time.Time) {
	s := p.shops[d.IntN(len(p.shops))]
	away := p.away(s, at)
	if len(away) < 2 || !at.Before(p.end) {
		return
	}
	d.Shuffle(len(away), func(i, j int) { away[i], away[j] = away[j], away[i] })
	gone, lives := away[0], away[1]
	p.crm = append(p.crm, events.CRMEvent{Changed: &events.ContactChanged{
		Business: s.ID, Contact: gone.contact, MergedInto: lives.contact, At: at,
	}})
	lives.devices = append(lives.devices, gone.devices...)
	s.regulars = slices.DeleteFunc(s.regulars, func(w *person) bool { return w == gone })
}

// delete takes a contact out of the CRM. The person goes on coming, unknown.
func (p *plan) delete(d dice, at time.Time) {
	s := p.shops[d.IntN(len(p.shops))]
	away := p.away(s, at)
	if len(away) == 0 || !at.Before(p.end) {
		return
	}
	who := away[d.IntN(len(away))]
	p.crm = append(p.crm, events.CRMEvent{Deleted: &events.ContactDeleted{
		Business: s.ID, Contact: who.contact, At: at,
	}})
	who.contact = ""
}

// away lists the regulars the CRM knows who have not been here for long enough
// to be merged or deleted: what it does to their last visit is then over.
func (p *plan) away(s *shop, at time.Time) []*person {
	var out []*person
	for _, who := range s.regulars {
		if who.contact != "" && at.Sub(who.left) >= p.config.CRM.Quiet {
			out = append(out, who)
		}
	}
	return out
}
