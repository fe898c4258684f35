// Package oracle computes from the input alone what Footfall must tell: slowly,
// with everything in memory, as the rules read. Tests and the check at the end
// of a run hold the pipeline against it.
package oracle

import (
	"slices"
	"time"

	"footfall/shared/presence"
)

// Visit is one visit of one device.
type Visit struct {
	Start, Last presence.Instant
	Open        bool // nothing after Last ended it yet, as far as the input tells
	Resident    bool // no customer's, so it has no walk-in
	rules       *presence.Rules
	seen        []presence.Sighting // everything that counts, in order
	associated  bool
	allAssoc    bool
	randomised  bool
	confirmed   bool
}

// Visits reads the rules over the sightings of one device in the order of their
// time, as if none had come late. Sightings in the same step of the grid are
// read in the order given. Visits of residents are among them.
func Visits(sightings []presence.Sighting, r presence.Rules) []Visit {
	return Past{}.Visits(sightings, r)
}

// stays gives the visits without regard to who is a resident.
func stays(sightings []presence.Sighting, r presence.Rules) []Visit {
	sorted := slices.Clone(sightings)
	slices.SortStableFunc(sorted, func(a, b presence.Sighting) int { return int(a.SeenAt - b.SeenAt) })
	var visits []Visit
	var cur *Visit // candidate or visit that the next sighting may belong to
	for _, s := range sorted {
		strong, hold := s.RSSI >= r.Entry, s.RSSI >= r.Hold
		belongs := cur != nil && cur.belongs(s)
		switch {
		case strong && belongs:
			cur.add(s)
		case strong:
			if cur != nil && cur.confirmed {
				visits = append(visits, *cur)
			}
			cur = &Visit{Start: s.SeenAt, rules: &r, allAssoc: true}
			cur.add(s)
		case hold && belongs && cur.confirmed && number(s.SeenAt) >= number(cur.Start)+2:
			cur.add(s)
		}
	}
	if cur != nil && cur.confirmed {
		cur.Open = true
		visits = append(visits, *cur)
	}
	return visits
}

// number counts the steps of the grid.
func number(t presence.Instant) int64 {
	return t.Time().UnixMilli() / presence.Grid.Milliseconds()
}

func (v *Visit) silence() time.Duration {
	switch {
	case !v.confirmed:
		return v.rules.MaxGap
	case v.allAssoc:
		return v.rules.AssociatedSilence
	default:
		return v.rules.Silence
	}
}

// belongs says whether s, which is not before Last, belongs to the visit.
func (v *Visit) belongs(s presence.Sighting) bool {
	gap := time.Duration(number(s.SeenAt)-number(v.Last)) * presence.Grid
	if gap > v.silence() {
		return false
	}
	return !v.randomised || v.associated || v.date(s.SeenAt) == v.date(v.Last)
}

func (v *Visit) date(t presence.Instant) string {
	return local(number(t), v.rules).Format(time.DateOnly)
}

// local is what the store's clock shows when a step begins.
func local(number int64, r *presence.Rules) time.Time {
	loc := r.Location
	if loc == nil {
		loc = time.UTC
	}
	return time.UnixMilli(number * presence.Grid.Milliseconds()).In(loc)
}

func (v *Visit) add(s presence.Sighting) {
	v.seen = append(v.seen, s)
	v.Last = s.SeenAt
	v.associated = v.associated || s.Associated && s.RSSI >= v.rules.Entry
	v.allAssoc = v.allAssoc && s.Associated
	v.randomised = v.randomised || s.Randomised
	if v.confirmed {
		return
	}
	strongSteps := map[int64]bool{}
	for _, s := range v.seen {
		strongSteps[number(s.SeenAt)] = true
	}
	span := time.Duration(number(v.Last)-number(v.Start)) * presence.Grid
	v.confirmed = v.associated || len(strongSteps) >= v.rules.MinStrong && span >= v.rules.MinSpan
}
