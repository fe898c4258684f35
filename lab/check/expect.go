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

// expected is what the input calls for.
type expected struct {
	oracle.Expected
	crm     *audit.CRM
	changed []audit.Visit // what is known of who was about when rules changed
	// unlearnt are visits that may be residents', by days that other rules judged.
	unlearnt []audit.Visit
}

// expect recounts the input.
func expect(ctx context.Context, in audit.Input) (want *expected, err error) {
	want = &expected{}
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
				want.found(v)
			}
		})
		if err != nil {
			return want, err
		}
	}
	return want, nil
}

func (w *expected) found(v audit.Visit) {
	w.take(v.Device, oracle.Stay{ID: fmt.Sprint(v.Device, v.Start), Device: v.Device, Start: v.Start, Last: v.Last})
}

// take counts a walk-in, for the contact whose the device was.
func (w *expected) take(device string, s oracle.Stay) {
	w.WalkIns++
	if contact, _ := w.crm.Attribute(device, s.Start); contact != "" {
		w.AddWalkIn(contact, s)
	}
}

// takeTold takes as they were told the walk-ins of who was about when rules changed,
// for what that made of them is for the stage to know; and that a visit was a
// resident's where that hangs on days before the change.
func (r *Report) takeTold(want *expected) {
	for _, v := range want.unlearnt {
		if !slices.ContainsFunc(r.residents[v.Device], func(start time.Time) bool { return start.Sub(v.Start).Abs() <= presence.Grid }) {
			want.found(v)
		}
	}
	r.Changed = len(want.changed)
	about := map[string][]audit.Visit{}
	for _, v := range want.changed {
		about[v.Device] = append(about[v.Device], v)
	}
	for _, v := range r.Visits {
		device := string(events.DeviceKey(v.Business, v.Device))
		if slices.ContainsFunc(about[device], func(a audit.Visit) bool {
			return !v.Start.Before(a.Start.Add(-2*presence.Grid)) && !v.Start.After(a.Until.Add(2*presence.Grid))
		}) {
			id := string(events.NewWalkInID(v.Business, v.Device, v.Start))
			want.take(device, oracle.Stay{ID: id, Device: device, Start: v.Start, Last: v.End})
		}
	}
}

// settle takes the times of visits as they were told where those are at most a
// step off what the oracle finds, as arrival out of order allows: whether one
// device came before the other had left may hang on that.
func (r *Report) settle(want *oracle.Expected) {
	told := map[string][]*score.FoundVisit{}
	for i := range r.Visits {
		v := &r.Visits[i]
		device := string(events.DeviceKey(v.Business, v.Device))
		told[device] = append(told[device], v)
	}
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= presence.Grid }
	for _, stays := range want.Stays {
		for i := range stays {
			s := &stays[i]
			for _, v := range told[s.Device] {
				if near(v.Start, s.Start) && near(v.End, s.Last) {
					s.Start, s.Last = v.Start, v.End
					s.ID = string(events.NewWalkInID(v.Business, v.Device, v.Start))
					break
				}
			}
		}
	}
}

// alone marks the walk-ins that were counted when a count knew ids alone: those stay
// counted, whatever other device was there.
func alone(ctx context.Context, counts stage.Counts, want *oracle.Expected) error {
	for name, stays := range want.Stays {
		business, contact, _ := strings.Cut(name, "/")
		months, err := counts.Get(ctx, stage.CountKey{Business: events.BusinessID(business), Contact: events.ContactID(contact)})
		if err != nil {
			return fmt.Errorf("count of %s in the table: %w", name, err)
		}
		for _, m := range months {
			for _, f := range m.Facts {
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
