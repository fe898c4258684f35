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

// The businesses decide by settings of their own: all have the opening hours of the
// town, one has ruled out its till, and that of changing are others from the
// middle of the first day on.
const (
	excluding = events.BusinessID("gym")
	changing  = events.BusinessID("market")
)

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
	next := business.Revision{Since: t.Config.Start.Add(13 * time.Hour), Settings: all[changing][0].Settings}
	next.Entry, next.Dwell, next.Gap = -68, business.Duration(6*time.Minute), business.Duration(20*time.Minute)
	next.Static = statics(changing)
	all[changing] = append(all[changing], next)
	return all
}

// store puts the settings into the tables, before anything of them is heard.
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

// shop is what one partition holds of a business, in its order: a part for each
// of the rules that it was decided by.
type shop struct {
	rules []stage.RulesSince
	parts [][]oracle.Record
}

func newShops(rules map[events.BusinessID][]stage.RulesSince) map[events.BusinessID]*shop {
	shops := map[events.BusinessID]*shop{}
	for id, all := range rules {
		shops[id] = &shop{all, make([][]oracle.Record, 1)}
	}
	return shops
}

// tick goes on to the next rules where the clock has come to them.
func (s *shop) tick(at presence.Instant) {
	for n := len(s.parts); n < len(s.rules) && s.rules[n].Since <= at; n++ {
		s.parts = append(s.parts, nil)
	}
	s.add(oracle.Record{Tick: at})
}

func (s *shop) add(h oracle.Record) {
	last := len(s.parts) - 1
	s.parts[last] = append(s.parts[last], h)
}

// now are the rules in force.
func (s *shop) now() *presence.Rules { return &s.rules[len(s.parts)-1].Rules }

// around is how long before and after a change of rules a device may have been
// heard so that the change concerns no visit of it.
const around = 2 * time.Hour

// changed are the devices of which the oracle cannot say what a change of rules
// made of their visits.
func (s *shop) changed() map[string]bool {
	devices := map[string]bool{}
	for _, h := range slices.Concat(s.parts...) {
		for _, r := range s.rules[1:] {
			if h.Tick == 0 && h.Sighting.SeenAt.Time().Sub(r.Since.Time()).Abs() < around {
				devices[h.Device] = true
			}
		}
	}
	return devices
}

// judge notes what the visits of the business must be.
func (c *collector) judge(s *shop) {
	changed := s.changed()
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
		c.changed[device] = true
	}
}
