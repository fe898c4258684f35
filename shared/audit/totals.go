package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// totals holds the latest counts on topic walk-in-counts, by contact.
type totals struct {
	latest map[stage.CountKey]events.WalkInCount
	read   []kafka.OffsetRange
}

// readOn reads the unread records of the topic.
func (t *totals) readOn(ctx context.Context, in Input) error {
	ranges, err := kafka.ListOffsetRanges(ctx, in.Client, events.WalkInCounts)
	if err != nil {
		return err
	}
	if t.latest == nil {
		t.latest = map[stage.CountKey]events.WalkInCount{}
	}
	// Begin in each partition at the end of the former reading.
	former := t.read
	t.read = slices.Clone(ranges)
	for i, held := range ranges {
		if i < len(former) {
			held.From = max(held.From, former[i].To)
		}
		if err := in.read(ctx, held, func(r *kgo.Record) error { return t.add(in, r) }); err != nil {
			return err
		}
	}
	return nil
}

// add adds the count of one record, and keeps the count with the highest version of
// each contact.
func (t *totals) add(in Input, r *kgo.Record) error {
	in.progress(r)
	// A null value: the contact was forgotten. Keys of contacts have the form of keys
	// of devices.
	if b, c, ok := events.SplitDeviceKey(string(r.Key)); ok && r.Value == nil {
		delete(t.latest, stage.CountKey{Business: b, Contact: events.ContactID(c)})
		return nil
	}
	c, err := events.DecodeWalkInCount(r.Key, r.Value)
	if err != nil {
		return fmt.Errorf("decode %s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	key := stage.CountKey{Business: c.Business, Contact: c.Contact}
	if former, ok := t.latest[key]; !ok || c.Version >= former.Version {
		t.latest[key] = c
	}
	return nil
}

// compareTotals compares the monthly totals of the table with the count of the oracle
// for the visits in the table, without companions. It skips a contact in differ,
// whose visits are a difference already, and a contact with a walk-in or an end that
// was produced while the audit was reading.
func (a *audit) compareTotals(want map[monthKey]expectedVisits, differ map[stage.CountKey]bool) {
	stays, inRange := a.stays(want, differ)
	// Let the oracle count the visits.
	totals := map[monthKey]int64{}
	for contact, all := range stays {
		for month, n := range oracle.Count(all) {
			totals[monthKey{contact, month}] = int64(n)
		}
		for _, s := range all {
			if inRange[s.ID] && !s.CountedByID && oracle.Companion(s, all) {
				a.report.Companions++
			}
		}
	}
	for key, have := range a.stored.counts {
		if differ[key.CountKey] {
			continue
		}
		if n := totals[key]; n != have.total {
			a.report.Differences = append(a.report.Differences, Difference{
				Business: key.Business, Contact: key.Contact, Month: key.month, Kind: InTotal, Expected: n, Found: have.total,
			})
		}
	}
}

// stays returns the visits in the table by contact, also of the month before the
// range, and the ids of those in the range, which are expected. It adds the contacts
// to differ that have a walk-in or an end that was produced while the audit was
// reading.
func (a *audit) stays(want map[monthKey]expectedVisits, differ map[stage.CountKey]bool) (stays map[stage.CountKey][]oracle.Stay, inRange map[string]bool) {
	stays, inRange = map[stage.CountKey][]oracle.Stay{}, map[string]bool{}
	for _, counts := range []map[monthKey]storedCount{a.stored.before, a.stored.counts} {
		for key, have := range counts {
			for id, v := range have.visits {
				if p := a.produced.byID[id]; p != nil && (p.meanwhile || p.endMeanwhile) {
					differ[key.CountKey] = true
				}
				if !v.start.IsZero() || v.idAlone {
					stays[key.CountKey] = append(stays[key.CountKey], a.stay(key, id, v, want[key]))
				}
				if _, ok := want[key][id]; ok {
					inRange[string(id)] = true
				}
			}
		}
	}
	return stays, inRange
}

// stay returns a visit of the table with its correct times: the times of the expected
// visit, or else of enriched-walk-ins, or else of the facts in the table.
func (a *audit) stay(key monthKey, id events.WalkInID, v storedVisit, want expectedVisits) oracle.Stay {
	s := oracle.Stay{ID: string(id), Device: v.device, Start: v.start, Last: v.last, CountedByID: v.idAlone}
	if v.start.IsZero() {
		// An earlier version has counted the visit by its id alone. An end before the
		// start makes the visit a companion of no other visit.
		s.Start, _ = time.Parse(presence.MonthLayout, key.month)
		s.Last = s.Start.AddDate(0, 0, -1)
		return s
	}
	if p := a.produced.byID[id]; p != nil {
		s.Device, s.Start, s.Last = presence.Began("", string(p.device), p.start).Device, p.start, p.last
	}
	if e, expected := want[id]; expected {
		s.Start, s.Last = e.start, e.last
	}
	return s
}
