package simtest

import (
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// checkAttribution checks that no walk-in is attributed to two contacts, that the
// CRM events allow the contact, and that a walk-in for which all CRM events
// together name a contact is attributed.
func (w *world) checkAttribution() error {
	// The contact of each enriched walk-in.
	contacts := map[events.WalkInID]events.ContactID{}
	for _, e := range decodeNew(w.seen.records[events.EnrichedWalkIns], events.DecodeEnrichedWalkIn, func(e events.EnrichedWalkIn) string {
		return string(e.ID) + " " + string(e.Contact)
	}) {
		if former, ok := contacts[e.ID]; ok {
			return fmt.Errorf("walk-in of %s at %v is attributed to %s and to %s, want one contact", e.Device, e.StartedAt, former, e.Contact)
		}
		contacts[e.ID] = e.Contact
	}
	// Compare with the oracle.
	live, backfill := w.crm(events.CRMEvents), w.crm(events.CRMEventsBackfill)
	for _, e := range w.walkIns() {
		got := contacts[e.ID]
		delete(contacts, e.ID)
		want := oracleContact(&e, live, backfill)
		w.seen.countWalkIn(got, want)
		if got != want && (w.allCRMKnown || !allowed(&e, got, want, live, backfill)) {
			return fmt.Errorf("walk-in of %s at %v: got contact %q, want %q", e.Device, e.StartedAt.UTC(), got, want)
		}
	}
	if len(contacts) > 0 {
		return fmt.Errorf("enriched walk-ins without a walk-in: %v", contacts)
	}
	return nil
}

// oracleContact returns the contact that the oracle attributes a walk-in to, given
// these CRM events, or "".
func oracleContact(e *events.WalkIn, live, backfill []oracle.CRM) events.ContactID {
	var all []oracle.CRM
	for _, some := range [][]oracle.CRM{live, backfill} {
		for _, c := range some {
			if c.Contact[:2] == string(e.Business) {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
	contact, _ := oracle.AttributedContact(string(events.DeviceKey(e.Business, e.Device)), e.StartedAt, all)
	if contact == "" {
		return ""
	}
	return events.ContactID(contact[3:])
}

// allowed reports whether a walk-in may be attributed to got. An attribution is
// decided on the CRM events that are known then, and never changed. So got must be
// right for some first part of both CRM topics. "" is allowed only if all events
// together name no contact.
func allowed(e *events.WalkIn, got, want events.ContactID, live, backfill []oracle.CRM) bool {
	if got == "" && want != "" {
		return false
	}
	for i := range len(live) + 1 {
		for j := range len(backfill) + 1 {
			if oracleContact(e, live[:i], backfill[:j]) == got {
				return true
			}
		}
	}
	return false
}

// crm returns the CRM events of a topic for the oracle, in the order in which they
// were stored.
func (w *world) crm(topic string) []oracle.CRM {
	var all []oracle.CRM
	for _, r := range w.seen.records[topic] {
		e, err := events.DecodeCRM(r.Key, r.Value)
		if err != nil {
			continue
		}
		c := oracle.CRM{At: e.At()}
		contact := func(c events.ContactID) string { return string(events.ContactKey(e.Business(), c)) }
		switch {
		case e.Login != nil:
			c.Device, c.Contact = string(events.DeviceKey(e.Business(), e.Login.Device)), contact(e.Login.Contact)
			c.Randomised = e.Login.Randomised
		case e.Deleted != nil:
			c.Contact = contact(e.Deleted.Contact)
		case e.Changed.MergedInto == "":
			continue
		default:
			c.Contact, c.Into = contact(e.Changed.Contact), contact(e.Changed.MergedInto)
		}
		all = append(all, c)
	}
	return all
}

// lasts returns, for each visit that has ended, the latest time at which its
// device was last seen.
func (w *world) lasts() map[events.WalkInID]time.Time {
	last := map[events.WalkInID]time.Time{}
	for _, r := range w.seen.records[events.VisitsEnded] {
		if e, err := events.DecodeVisitEnded(r.Key, r.Value); err == nil {
			last[e.ID] = later(last[e.ID], e.LastSeenAt)
		}
	}
	return last
}

// enriched returns the enriched walk-ins, of each id the record with the latest
// end.
func (w *world) enriched() map[events.WalkInID]events.EnrichedWalkIn {
	all := map[events.WalkInID]events.EnrichedWalkIn{}
	for _, r := range w.seen.records[events.EnrichedWalkIns] {
		e, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
		if former := all[e.ID]; err == nil && (former.ID == "" || e.Ended && (!former.Ended || e.DwellMillis > former.DwellMillis)) {
			all[e.ID] = e
		}
	}
	return all
}

// checkEnds checks that every enriched walk-in has the latest end of its visit, if
// the visit has ended.
func (w *world) checkEnds() error {
	enriched := w.enriched()
	for id, last := range w.lasts() {
		e, ok := enriched[id]
		if end := e.StartedAt.Add(time.Duration(e.DwellMillis) * time.Millisecond); ok && (!e.Ended || !end.Equal(last)) {
			return fmt.Errorf("enriched walk-in of %s and %s at %v: the visit ended at %v, got ended=%v and end %v", e.Device, e.Contact, e.StartedAt, last, e.Ended, end)
		}
	}
	return nil
}

// stays returns the visits of each contact from enriched-walk-ins, with the ends
// from visits-ended.
func (w *world) stays() map[stage.CountKey][]oracle.Stay {
	stays, last := map[stage.CountKey][]oracle.Stay{}, w.lasts()
	for id, e := range w.enriched() {
		s := oracle.Stay{ID: string(id), Device: string(e.Device), Start: e.StartedAt, Last: last[id], CountedByID: w.seen.byID[string(id)]}
		if s.Last.IsZero() && e.Ended {
			s.Last = e.StartedAt.Add(time.Duration(e.DwellMillis) * time.Millisecond)
		}
		key := stage.CountKey{Business: e.Business, Contact: e.Contact}
		stays[key] = append(stays[key], s)
	}
	return stays
}

// checkCounts checks that each visit of a contact is counted once, overlapping
// visits of several devices as one. The table, the record of the highest version
// and the sink must all have that count.
func (w *world) checkCounts() error {
	want, wantMonths := map[stage.CountKey]int64{}, map[stage.CountKey]map[string]int{}
	for key, base := range w.seen.bases {
		want[key] += base
	}
	for key, all := range w.stays() {
		wantMonths[key] = oracle.Count(all)
		for _, n := range wantMonths[key] {
			want[key] += int64(n)
			w.seen.companions -= n
		}
		w.seen.companions += len(all)
	}
	// The record of the highest version, of each contact.
	highest := map[stage.CountKey]events.WalkInCount{}
	for _, r := range w.seen.records[events.WalkInCounts] {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		key := stage.CountKey{Business: c.Business, Contact: c.Contact}
		if c.Version >= highest[key].Version {
			highest[key] = c
		}
		if _, ok := want[key]; !ok {
			return fmt.Errorf("count of %v: got %d, want no record", key, c.Total)
		}
	}
	// Compare month by month, and the totals.
	for key, n := range want {
		months, err := w.read(key)
		if err != nil {
			return err
		}
		total := int64(0)
		for _, m := range months {
			total += m.Total
			if m.Month != "" && int(m.Total) != wantMonths[key][m.Month] {
				return fmt.Errorf("count of %v: want %d in %s, the table has %d", key, wantMonths[key][m.Month], m.Month, m.Total)
			}
		}
		if total != n || highest[key].Total != n || w.sinkTable[key].Total != n {
			return fmt.Errorf("count of %v: want %d, the table has %d, the record of the highest version %d, the sink %d", key, n, total, highest[key].Total, w.sinkTable[key].Total)
		}
	}
	return nil
}

// read returns the content of table counts for one contact.
func (w *world) read(key stage.CountKey) ([]stage.MonthCount, error) {
	return w.counts.Get(background, key)
}

// checkLastRecords checks that the last record of each contact, which compaction
// keeps, has the highest version.
//
// There is an exception. A writer may be overtaken between its read and its
// produce: then it looks again and produces the newer count. If the writer crashes
// before that, or if its request is carried out after it gave up, the last record
// stays an older one until the next change of the count.
func (w *world) checkLastRecords() error {
	highest, last := map[string]int64{}, map[string]int{}
	versions := make([]int64, len(w.seen.records[events.WalkInCounts]))
	for i, r := range w.seen.records[events.WalkInCounts] {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		key := string(r.Key)
		versions[i], last[key], highest[key] = c.Version, i, max(highest[key], c.Version)
	}
	for key, i := range last {
		if versions[i] != highest[key] && !w.seen.writerGaveUp(events.WalkInCounts, i) {
			return fmt.Errorf("last count record of %s: got version %d, want the highest, %d", key, versions[i], highest[key])
		}
	}
	return nil
}

// checkVersions checks the versions of the enriched walk-ins: two records of a visit
// with the same version are equal, the record with the highest version has the
// latest end, and the last record has the highest version.
//
// There are two exceptions: that of checkLastRecords, and visits whose item of table
// pending has expired. An environment that reads a changelog of which the newest
// items have expired as well may end such a visit again, with an earlier sighting.
func (w *world) checkVersions() error {
	type version struct {
		id      events.WalkInID
		version int64
	}
	contents := map[version]events.EnrichedWalkIn{}
	highest, first, last := map[events.WalkInID]events.EnrichedWalkIn{}, map[events.WalkInID]int{}, map[events.WalkInID]int{}
	versions := make([]int64, len(w.seen.records[events.EnrichedWalkIns]))
	for i, r := range w.seen.records[events.EnrichedWalkIns] {
		e, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
		if err != nil {
			continue // poison of the input
		}
		if former, ok := contents[version{e.ID, e.Version}]; ok && former != e {
			return fmt.Errorf("walk-in %s: two records of version %d are not equal: %+v and %+v", e.ID, e.Version, former, e)
		}
		contents[version{e.ID, e.Version}] = e
		if e.Version >= highest[e.ID].Version {
			highest[e.ID] = e
		}
		if _, known := first[e.ID]; !known {
			first[e.ID] = i
		}
		last[e.ID], versions[i] = i, e.Version
	}
	// The highest version has the latest end.
	for id, newest := range w.enriched() {
		if highest[id] != newest {
			return fmt.Errorf("walk-in %s: the record of the highest version is %+v, want %+v", id, highest[id], newest)
		}
	}
	for id, i := range last {
		expired := first[id] < w.expiredFrom && i >= w.expiredFrom
		if versions[i] != highest[id].Version && !expired && !w.seen.writerGaveUp(events.EnrichedWalkIns, i) {
			return fmt.Errorf("last record of walk-in %s: got version %d, want the highest, %d", id, versions[i], highest[id].Version)
		}
	}
	return nil
}

// checkOwners checks that the last record of each device names the contact that
// is stored, with the exception of checkLastRecords.
func (w *world) checkOwners() error {
	last := map[string]int{}
	for i, r := range w.seen.records[events.DeviceContacts] {
		last[string(r.Key)] = i
	}
	for key, i := range last {
		b, d, _ := events.SplitDeviceKey(key)
		histories, _, err := w.identities.Devices(background, []stage.IdentityKey{{Business: b, Device: d}})
		if err != nil {
			return err
		}
		// The stored contact and the contact of the record, "" for none.
		want, got := "", ""
		held := histories[0].Held()
		if n := len(held); n > 0 && held[n-1].Until.IsZero() {
			want = held[n-1].Contact
		}
		if r := &w.seen.records[events.DeviceContacts][i]; r.Value != nil {
			o, err := events.DecodeDeviceContact(r.Key, r.Value)
			if err != nil {
				return err
			}
			got = string(o.Contact)
		}
		if got != want && !w.seen.writerGaveUp(events.DeviceContacts, i) {
			return fmt.Errorf("last contact record of device %s: got %q, want %q as stored", key, got, want)
		}
	}
	return nil
}
