package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/audit"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// expected holds the oracle's results for the input of a run.
type expected struct {
	oracle.Expected
	crm     *audit.CRM
	stays   map[string][]oracle.Stay // of all walk-ins, by device
	changed []audit.Visit            // devices that were near the store while rules changed
	// unlearnt holds visits that may be visits of residents, depending on days
	// that were judged by other rules.
	unlearnt []audit.Visit
}

// expect reads the CRM events and recounts the sightings of all partitions with
// the oracle. Visits around a change of rules are set aside for adoptEmitted.
func expect(ctx context.Context, in audit.Input) (want *expected, err error) {
	want = &expected{stays: map[string][]oracle.Stay{}}
	if want.crm, err = audit.ReadCRM(ctx, in); err != nil {
		return want, err
	}
	spans, err := kafka.ListOffsetRanges(ctx, in.Client, events.Sightings)
	if err != nil {
		return want, err
	}
	for _, s := range spans {
		_, err := audit.Recount(ctx, in, s, time.Time{}, time.Time{}, func(v audit.Visit) {
			switch {
			case v.RulesChanged:
				want.changed = append(want.changed, v)
			case v.MaybeResident:
				want.unlearnt = append(want.unlearnt, v)
			default:
				want.addVisit(v)
			}
		})
		if err != nil {
			return want, err
		}
	}
	return want, nil
}

// addVisit counts a visit that the oracle found as a walk-in.
func (w *expected) addVisit(v audit.Visit) {
	w.addStay(oracle.Stay{ID: fmt.Sprint(v.Device, v.Start), Device: v.Device, Start: v.Start, Last: v.Last})
}

// addStay counts a walk-in. attribute attributes all walk-ins of a device together.
func (w *expected) addStay(s oracle.Stay) {
	w.WalkIns++
	w.stays[s.Device] = append(w.stays[s.Device], s)
}

// attribute counts each walk-in for the contact that it is attributed to, if any.
// emitted holds the enriched walk-ins by device. If the stages have attributed a
// walk-in to another contact than all CRM events together call for, and the events
// that had arrived by then call for that contact, the emitted contact is right.
func (w *expected) attribute(emitted map[string][]events.EnrichedWalkIn) {
	for device, stays := range w.stays {
		slices.SortFunc(stays, func(a, b oracle.Stay) int { return a.Start.Compare(b.Start) })
		starts := make([]time.Time, len(stays))
		for i := range stays {
			starts[i] = stays[i].Start
		}
		for i, contact := range w.crm.Attributions(device, starts) {
			for _, e := range emitted[device] {
				got := string(events.ContactKey(e.Business, e.Contact))
				if e.StartedAt.Sub(starts[i]).Abs() <= presence.Grid && got != contact && w.crm.Explains(device, starts, i, got) {
					contact = got
				}
			}
			if contact != "" {
				w.AddWalkIn(contact, stays[i])
			}
		}
	}
}

// adoptEmitted adds to the oracle's results the walk-ins that the oracle cannot
// decide, as they were emitted: all walk-ins of a device that was near the
// store while rules changed, since their outcome depends on the state in the
// stage, and each visit that is a resident's or not depending on days before
// the change.
func (r *Report) adoptEmitted(want *expected) {
	// A visit counts as a walk-in unless the stage emitted a resident's visit
	// of the device that began within one step of it.
	for _, v := range want.unlearnt {
		if !slices.ContainsFunc(r.residents[v.Device], func(start time.Time) bool { return start.Sub(v.Start).Abs() <= presence.Grid }) {
			want.addVisit(v)
		}
	}
	// Take the emitted walk-ins that began while the device was near the store,
	// give or take two steps.
	r.Changed = len(want.changed)
	nearby := map[string][]audit.Visit{}
	for _, v := range want.changed {
		nearby[v.Device] = append(nearby[v.Device], v)
	}
	for _, v := range r.Visits {
		device := string(events.DeviceKey(v.Business, v.Device))
		if slices.ContainsFunc(nearby[device], func(a audit.Visit) bool {
			return !v.Start.Before(a.Start.Add(-2*presence.Grid)) && !v.Start.After(a.Until.Add(2*presence.Grid))
		}) {
			id := string(events.NewWalkInID(v.Business, v.Device, v.Start))
			want.addStay(oracle.Stay{ID: id, Device: device, Start: v.Start, Last: v.End})
		}
	}
}

// adoptTimes replaces start and end of a stay in want by the emitted times if
// both differ by at most one step, which disorder allows. Companions depend on
// these times: whether one device came before the other device had left.
func (r *Report) adoptTimes(want *oracle.Expected) {
	// Group the emitted visits by device.
	emitted := map[string][]*score.FoundVisit{}
	for i := range r.Visits {
		v := &r.Visits[i]
		device := string(events.DeviceKey(v.Business, v.Device))
		emitted[device] = append(emitted[device], v)
	}
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= presence.Grid }
	// Adopt the first emitted visit of the device that is near enough.
	for _, stays := range want.Stays {
		for i := range stays {
			s := &stays[i]
			for _, v := range emitted[s.Device] {
				if near(v.Start, s.Start) && near(v.End, s.Last) {
					s.Start, s.Last = v.Start, v.End
					s.ID = string(events.NewWalkInID(v.Business, v.Device, v.Start))
					break
				}
			}
		}
	}
}

// markIDOnly marks the walk-ins that were counted by id only, by an older
// format of the counts without start and end. These walk-ins stay counted, even
// if another device of the contact was in the store.
func markIDOnly(ctx context.Context, counts stage.Counts, want *oracle.Expected) error {
	for name, stays := range want.Stays {
		business, contact, _ := strings.Cut(name, "/")
		months, err := counts.Get(ctx, stage.CountKey{Business: events.BusinessID(business), Contact: events.ContactID(contact)})
		if err != nil {
			return fmt.Errorf("reading the count of %s from the table: %w", name, err)
		}
		for _, m := range months {
			for _, f := range m.Facts {
				// A fact with times follows the rule for companions.
				if f.Start != 0 || f.Last != 0 {
					continue
				}
				if i := slices.IndexFunc(stays, func(s oracle.Stay) bool { return s.ID == f.Visit }); i >= 0 {
					stays[i].CountedByID = true
				}
			}
		}
	}
	return nil
}
