//go:build linux

package soak

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// contact names a contact by its record key, "business/contact". "" means
// unattributed.
type contact string

// bucket is the count that a walk-in is added to.
type bucket struct {
	contact contact
	month   string
}

// place is the position of a record.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// badRecord is a record that no function can process: as it was planted, or as
// it is in a dead-letter topic, with the reason and stage of its headers.
type badRecord struct {
	key, value    []byte
	reason, stage string
}

// account is everything that a run left behind: its input, the topics and the
// tables.
type account struct {
	// The input: the visits of each device in the order of their start, the CRM
	// events of each device, and the planted records.
	visits           map[string][]oracle.Visit
	crm              crmLog
	planted          map[place]badRecord
	late             int
	heard            int // sightings that can be processed
	plantedSightings int // planted on the topic sightings
	excluded         int // of those heard, sightings of devices that the business excludes
	// The number of visits of each device as a resident device, and the devices
	// that were heard around a change of their business's rules. For the
	// latter, the walk-ins and ends on the topics are taken as right.
	residents    map[string]int
	rulesChanged map[string]bool

	// The topics. Of a record that was produced twice, the first with other
	// contents than the one before it is noted in contradictions.
	walkIns map[events.WalkInID]events.WalkIn
	ended   map[events.WalkInID]events.VisitEnded // the latest end
	// The devices of the visits that ended as visits of a resident device.
	residentEnds    map[events.WalkInID]string
	enriched        map[events.WalkInID]contact
	enrichedEnds    map[events.WalkInID]time.Time  // the latest end on enriched-walk-ins
	counts          map[contact]events.WalkInCount // the record with the highest version
	last            map[contact]events.WalkInCount // the last record, which compaction keeps
	deviceContact   map[string]contact             // by device, "" if the device is not bound any more
	deadLetter      map[place]badRecord
	deadLetterCount int // with repeats
	contradictions  []string

	// The tables.
	pending map[events.WalkInID]contact
	counted map[events.WalkInID][]bucket
	totals  map[bucket]int64
	tally   tally
}

// tally holds the totals that the changelog in the table visit-log has
// recorded.
type tally struct{ sightings, late, walkIns, dead, residents, excluded int64 }

// newAccount returns an account without records.
func newAccount() *account {
	return &account{
		visits: map[string][]oracle.Visit{}, residents: map[string]int{}, rulesChanged: map[string]bool{},
		residentEnds: map[events.WalkInID]string{}, crm: newCRMLog(), planted: map[place]badRecord{},
		walkIns: map[events.WalkInID]events.WalkIn{}, ended: map[events.WalkInID]events.VisitEnded{},
		enriched: map[events.WalkInID]contact{}, enrichedEnds: map[events.WalkInID]time.Time{}, counts: map[contact]events.WalkInCount{}, last: map[contact]events.WalkInCount{},
		deviceContact: map[string]contact{}, deadLetter: map[place]badRecord{},
		pending: map[events.WalkInID]contact{}, counted: map[events.WalkInID][]bucket{}, totals: map[bucket]int64{},
	}
}

// differences compares the topics and tables with the input. An empty list
// means that the run is right.
func (a *account) differences() []string {
	d := &differences{}
	owners := a.compareWalkIns(d)
	a.compareResidents(d)
	a.compareContacts(d, owners)
	a.compareCounts(d, owners)
	a.compareDeadLetters(d)
	d.list = append(d.list, a.contradictions...)
	slices.Sort(d.list)
	return d.list
}

// differences collects the differences of an account.
type differences struct{ list []string }

func (d *differences) add(format string, args ...any) {
	d.list = append(d.list, fmt.Sprintf(format, args...))
}

// compareWalkIns pairs the walk-ins of each device with its visits, one to one
// and in order, and returns the contact that each walk-in is attributed to by
// the input. Input that is out of order by one step may move a start or an end
// by one step, not more.
func (a *account) compareWalkIns(d *differences) map[events.WalkInID]contact {
	// Every walk-in has the id of its start and has ended.
	walkIns := map[string][]events.WalkIn{}
	owners := map[events.WalkInID]contact{}
	for id, w := range a.walkIns {
		device := string(events.DeviceKey(w.Business, w.Device))
		walkIns[device] = append(walkIns[device], w)
		owners[id] = a.crm.attributedTo(device, w.StartedAt)
		if own := events.NewWalkInID(w.Business, w.Device, w.StartedAt); own != id {
			d.add("walk-in %s of %s does not have the id of its start, %s", id, device, own)
		}
		if _, ok := a.ended[id]; !ok {
			d.add("walk-in %s of %s never ended", id, device)
		}
	}
	// Every end belongs to a walk-in.
	for id, e := range a.ended {
		if _, ok := a.walkIns[id]; !ok {
			d.add("visit %s of %s/%s ended without a walk-in", id, e.Business, e.Device)
		}
	}
	// Every visit of the input has its walk-in, at its time.
	visits := 0
	for device, all := range a.visits {
		visits += len(all)
		if len(walkIns[device]) != len(all) {
			d.add("%s has %d visits in the input and %d walk-ins on the topic", device, len(all), len(walkIns[device]))
			continue
		}
		slices.SortFunc(walkIns[device], func(a, b events.WalkIn) int { return a.StartedAt.Compare(b.StartedAt) })
		for i, w := range walkIns[device] {
			if apart := w.StartedAt.Sub(all[i].Start.Time()).Abs(); apart > presence.Grid {
				d.add("walk-in %s of %s starts %v from visit %d of the input", w.ID, device, apart, i)
			}
			end, ok := a.ended[w.ID]
			if apart := end.LastSeenAt.Sub(all[i].Last.Time()).Abs(); ok && apart > presence.Grid {
				d.add("walk-in %s of %s ends %v from visit %d of the input", w.ID, device, apart, i)
			}
		}
	}
	// Every other walk-in is of a device around a change of rules.
	for device, all := range walkIns {
		if a.rulesChanged[device] {
			visits += len(all)
		} else if _, ok := a.visits[device]; !ok {
			d.add("%s has no visit in the input and %d walk-ins on the topic", device, len(all))
		}
	}
	// The changelog has counted every sighting once.
	want := tally{int64(a.heard), int64(a.late), int64(visits), int64(a.plantedSightings), int64(len(a.residentEnds)), int64(a.excluded)}
	if a.tally != want {
		d.add("the tally of the visit log is %+v, that of the input %+v", a.tally, want)
	}
	return owners
}

// compareResidents requires that each visit of a resident device has an end and
// no walk-in.
func (a *account) compareResidents(d *differences) {
	ends := map[string]int{}
	for id, device := range a.residentEnds {
		ends[device]++
		if _, ok := a.walkIns[id]; ok {
			d.add("visit %s of %s is a walk-in and ended as a visit of a resident device", id, device)
		}
	}
	for device := range merged(ends, a.residents) {
		if ends[device] != a.residents[device] && !a.rulesChanged[device] {
			d.add("%s has %d visits as a resident device in the input and %d such ends on the topic", device, a.residents[device], ends[device])
		}
	}
}

// compareContacts requires that each walk-in is attributed to the same contact
// by the input, the topic and the table, and that each device is bound to its
// current contact.
func (a *account) compareContacts(d *differences, owners map[events.WalkInID]contact) {
	// Attribution and end of every walk-in, on the topic and in the table.
	for id, owner := range owners {
		if got := a.enriched[id]; got != owner {
			d.add("walk-in %s is attributed to %q by the input and to %q on enriched-walk-ins", id, owner, got)
		}
		if end := a.ended[id].LastSeenAt; owner != "" && !a.enrichedEnds[id].Equal(end) {
			d.add("walk-in %s ended at %v, on enriched-walk-ins at %v", id, end, a.enrichedEnds[id])
		}
		got, ok := a.pending[id]
		if !ok {
			d.add("walk-in %s is not in the table pending", id)
		} else if got != owner {
			d.add("walk-in %s is attributed to %q by the input and to %q in the table pending", id, owner, got)
		}
	}
	// Nothing that is not a walk-in.
	for id := range a.enriched {
		if _, ok := owners[id]; !ok {
			d.add("walk-in %s is on enriched-walk-ins and not on walk-ins", id)
		}
	}
	for id := range a.pending {
		if _, ok := owners[id]; !ok {
			d.add("walk-in %s is in the table pending and not on walk-ins", id)
		}
	}
	// The current contact of every device with a login.
	for device := range a.crm.logins {
		if owner, got := a.crm.currentContact(device), a.deviceContact[device]; owner != got {
			d.add("%s is bound to %q by the input and to %q on device-contacts", device, owner, got)
		}
	}
}

// compareCounts requires that each attributed walk-in is in one bucket, once,
// and that the table and the topic hold the resulting counts: companions, which
// are two devices of a contact in a business at the same time, count once. It
// uses the walk-ins and ends on the topics, which differ from the input's by at
// most one step.
func (a *account) compareCounts(d *differences, owners map[events.WalkInID]contact) {
	// Every walk-in is in its bucket.
	sums, months, stays := map[contact]int64{}, map[bucket]int64{}, map[contact][]oracle.Stay{}
	for id, owner := range owners {
		var want []bucket
		if owner != "" {
			b := bucket{owner, a.walkIns[id].StartedAt.UTC().Format("2006-01")}
			want = []bucket{b}
			w := a.walkIns[id]
			stays[owner] = append(stays[owner], oracle.Stay{
				ID: string(id), Device: string(events.DeviceKey(w.Business, w.Device)), Start: w.StartedAt, Last: a.ended[id].LastSeenAt,
			})
		}
		if got := a.counted[id]; !slices.Equal(got, want) {
			d.add("walk-in %s is counted in %v, want %v", id, got, want)
		}
	}
	// The oracle's counts, with companions counted once.
	for c, all := range stays {
		for month, n := range oracle.Count(all) {
			months[bucket{c, month}] = int64(n)
			sums[c] += int64(n)
		}
	}
	// Nothing that is not a walk-in is counted.
	for id, got := range a.counted {
		if _, ok := owners[id]; !ok {
			d.add("walk-in %s is counted in %v and not on walk-ins", id, got)
		}
	}
	// The counts in the table.
	for b := range merged(months, a.totals) {
		if months[b] != a.totals[b] {
			d.add("%s came %d times in %s, the table has %d", b.contact, months[b], b.month, a.totals[b])
		}
	}
	// The counts on the topic, by highest version and by compaction.
	for c := range merged(sums, a.counts) {
		count := a.counts[c]
		if sums[c] != a.last[c].Total {
			d.add("%s came %d times, the last of walk-in-counts, which compaction keeps, has %d", c, sums[c], a.last[c].Total)
		}
		if sums[c] != count.Total {
			d.add("%s came %d times, walk-in-counts has %d", c, sums[c], count.Total)
		} else if n := months[bucket{c, count.Month}]; n != count.MonthTotal {
			d.add("%s came %d times in %s, walk-in-counts has %d", c, n, count.Month, count.MonthTotal)
		}
	}
}

// companions returns how many of the counted walk-ins are companions of
// another.
func (a *account) companions() int64 {
	n := int64(len(a.counted))
	for _, total := range a.totals {
		n -= total
	}
	return n
}

// merged returns the keys of both maps.
func merged[K comparable, V, W any](a map[K]V, b map[K]W) map[K]struct{} {
	all := map[K]struct{}{}
	for k := range a {
		all[k] = struct{}{}
	}
	for k := range b {
		all[k] = struct{}{}
	}
	return all
}

// compareDeadLetters requires that the dead letters are the planted records,
// with their bytes unchanged, and no others.
func (a *account) compareDeadLetters(d *differences) {
	for at, want := range a.planted {
		got, ok := a.deadLetter[at]
		switch {
		case !ok:
			d.add("the record planted at %v is not among the dead letters", at)
		case got.reason != want.reason || got.stage != want.stage:
			d.add("the record planted at %v is a dead letter for %s by %s, want %s by %s", at, got.reason, got.stage, want.reason, want.stage)
		case !bytes.Equal(got.key, want.key) || !bytes.Equal(got.value, want.value) || (got.value == nil) != (want.value == nil):
			d.add("the dead letter of %v has key %q and value %q, want %q and %q", at, got.key, got.value, want.key, want.value)
		}
	}
	for at, got := range a.deadLetter {
		if _, ok := a.planted[at]; !ok {
			d.add("%v is among the dead letters for %s by %s: key %q, value %q", at, got.reason, got.stage, got.key, got.value)
		}
	}
}

// crmLog holds the CRM events by device and by business.
type crmLog struct {
	logins   map[string][]oracle.CRM // by device
	contacts map[string][]oracle.CRM // merges and deletions, by business
}

func newCRMLog() crmLog {
	return crmLog{map[string][]oracle.CRM{}, map[string][]oracle.CRM{}}
}

// eventsFor returns the events that concern a device, in the order of their
// time.
func (l crmLog) eventsFor(device string) []oracle.CRM {
	business, _, _ := events.SplitDeviceKey(device)
	all := append(slices.Clone(l.logins[device]), l.contacts[string(business)]...)
	slices.SortStableFunc(all, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
	return all
}

// attributedTo returns the contact that a walk-in of the device is attributed
// to, for a walk-in that began at start.
func (l crmLog) attributedTo(device string, start time.Time) contact {
	if len(l.logins[device]) == 0 {
		return ""
	}
	c, _ := oracle.AttributedContact(device, start, l.eventsFor(device))
	return contact(c)
}

// currentContact returns the contact that the device is bound to after all
// events.
func (l crmLog) currentContact(device string) contact {
	owner := ""
	for _, e := range l.eventsFor(device) {
		switch {
		case e.Device == device:
			owner = e.Contact
		case owner == e.Contact:
			owner = e.Into
		}
	}
	return contact(owner)
}
