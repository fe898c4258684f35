//go:build linux

package soak

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/town"
	"footfall/shared/business"
	"footfall/shared/dynamo"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// All businesses have the opening hours of the town, and two have settings of
// their own: excluding lists its static devices as excluded, and changing gets
// other settings in the middle of the first day.
const (
	excluding = events.BusinessID("gym")
	changing  = events.BusinessID("market")
)

// settingsOf returns the history of the settings of every business.
func settingsOf(t town.Town) map[events.BusinessID]business.History {
	all := map[events.BusinessID]business.History{}
	for id, d := range t.Settings() {
		all[id] = business.History{{Settings: *d.Rules}}
	}
	statics := func(id events.BusinessID) (devices []events.DeviceID) {
		for _, s := range t.Statics {
			if s.Business == id {
				devices = append(devices, s.Device)
			}
		}
		return devices
	}
	all[excluding][0].Static = statics(excluding)
	// The second revision of changing.
	next := business.Revision{Since: t.Config.Start.Add(13 * time.Hour), Settings: all[changing][0].Settings}
	next.Entry, next.Dwell, next.Gap = -68, business.Duration(6*time.Minute), business.Duration(20*time.Minute)
	next.Static = statics(changing)
	all[changing] = append(all[changing], next)
	return all
}

// store writes the settings to the tables and keeps their rules for the oracle.
func (r *rig) store(ctx context.Context, all map[events.BusinessID]business.History) error {
	table := dynamo.NewBusinesses(r.tableClient(), "")
	r.rules = map[events.BusinessID][]stage.RulesSince{}
	for id, history := range all {
		for _, revision := range history {
			if err := table.PutRules(ctx, id, revision); err != nil {
				return err
			}
		}
		rules, err := history.Rules()
		if err != nil {
			return err
		}
		r.rules[id] = rules
	}
	return nil
}

// businessInput is the input of a business in one partition, in its order,
// split into one part for each of the rules that were in force.
type businessInput struct {
	rules []stage.RulesSince
	parts [][]oracle.Record
}

// newBusinessInputs returns an empty input for each business.
func newBusinessInputs(rules map[events.BusinessID][]stage.RulesSince) map[events.BusinessID]*businessInput {
	shops := map[events.BusinessID]*businessInput{}
	for id, all := range rules {
		shops[id] = &businessInput{all, make([][]oracle.Record, 1)}
	}
	return shops
}

// tick adds a tick. If the watermark reaches the next rules, a new part begins.
func (s *businessInput) tick(at presence.Instant) {
	for n := len(s.parts); n < len(s.rules) && s.rules[n].Since <= at; n++ {
		s.parts = append(s.parts, nil)
	}
	s.add(oracle.Record{Tick: at})
}

// add appends a sighting or tick to the current part.
func (s *businessInput) add(h oracle.Record) {
	last := len(s.parts) - 1
	s.parts[last] = append(s.parts[last], h)
}

// currentRules returns the rules of the current part.
func (s *businessInput) currentRules() *presence.Rules { return &s.rules[len(s.parts)-1].Rules }

// changeMargin is the time before and after a change of rules in which a device
// may have been heard with a visit that the change affects.
const changeMargin = 2 * time.Hour

// heardAroundChange returns the devices for which the oracle cannot compute the
// effect of a change of rules on their visits.
func (s *businessInput) heardAroundChange() map[string]bool {
	devices := map[string]bool{}
	for _, h := range slices.Concat(s.parts...) {
		for _, r := range s.rules[1:] {
			if h.Tick == 0 && h.Sighting.SeenAt.Time().Sub(r.Since.Time()).Abs() < changeMargin {
				devices[h.Device] = true
			}
		}
	}
	return devices
}

// expectVisits notes the visits that the pipeline must find in the input of a
// business.
func (c *collector) expectVisits(s *businessInput) {
	changed := s.heardAroundChange()
	past := map[string]oracle.Past{}
	for n, part := range s.parts {
		visits, late := oracle.PartitionVisitsAfter(past, part, s.rules[n].Rules)
		c.late += late
		for device, all := range visits {
			for _, v := range all {
				switch {
				case changed[device]:
				case v.Resident:
					c.residents[device]++
				default:
					c.visits[device] = append(c.visits[device], v)
				}
			}
		}
	}
	for device := range changed {
		c.rulesChanged[device] = true
	}
}
