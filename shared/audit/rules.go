package audit

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Histories holds the rules of the businesses with rules of their own, each by
// ascending Since.
type Histories map[events.BusinessID][]stage.RulesSince

// rulesAt returns the rules of a business in force at a watermark.
func (in *Input) rulesAt(id events.BusinessID, watermark presence.Instant) presence.Rules {
	for i := len(in.Businesses[id]) - 1; i >= 0; i-- {
		if r := &in.Businesses[id][i]; r.Since <= watermark {
			return r.Rules
		}
	}
	return in.Rules
}

// rulesChange reports whether the rules of a business change after from, up to and
// including to.
func (in *Input) rulesChange(id events.BusinessID, from, to presence.Instant) bool {
	for i := range in.Businesses[id] {
		if since := in.Businesses[id][i].Since; from < since && since <= to {
			return true
		}
	}
	return false
}

// lowestHold returns the lowest hold threshold of a business ever, in dBm. The oracle
// leaves out sightings below the threshold of the rules in force.
func (in *Input) lowestHold(id events.BusinessID) int32 {
	hold := in.Rules.Hold
	for i := range in.Businesses[id] {
		hold = min(hold, in.Businesses[id][i].Rules.Hold)
	}
	return hold
}

// longestRules returns rules with the longest times of all businesses. A wait that is
// long enough by longestRules is long enough for every business.
func (in *Input) longestRules() presence.Rules {
	w := in.Rules
	for _, history := range in.Businesses {
		for i := range history {
			r := &history[i].Rules
			w.MinStrong, w.MinSpan, w.MaxGap = max(w.MinStrong, r.MinStrong), max(w.MinSpan, r.MinSpan), max(w.MaxGap, r.MaxGap)
			w.Silence, w.MaxSession, w.Lateness = max(w.Silence, r.Silence), max(w.MaxSession, r.MaxSession), max(w.Lateness, r.Lateness)
		}
	}
	return w
}

// watermarkFor returns the watermark for the choice of the rules for a record. Before
// the first tick, the timestamp of the record is used instead, as in detect.
func (c *recount) watermarkFor(r *kgo.Record) presence.Instant {
	if c.watermark != 0 {
		return c.watermark
	}
	return max(0, presence.InstantOf(r.Timestamp))
}

// excluded reports whether a sighting counts for nothing at its business, because
// of its device or its sensor.
func (c *recount) excluded(r *kgo.Record, s *events.Sighting) bool {
	if len(c.in.Businesses[s.Business]) == 0 {
		return false
	}
	rules := c.in.rulesAt(s.Business, c.watermarkFor(r))
	return stage.Excluded(&rules, s)
}

// reportRulesChanged reports an uncertain visit for a device that was heard around
// a change of the rules of the business. Only the stage knows the rules that were
// applied to each sighting and to the ticks in between. So the walk-ins of the device
// are taken from enriched-walk-ins.
func (c *recount) reportRulesChanged(device string, h *heard) {
	first := h.lastSeen
	for _, one := range h.records {
		if one.Tick == 0 {
			first = min(first, one.Sighting.SeenAt)
		}
	}
	c.reportVisit(Visit{Device: device, Start: first.Time(), Uncertain: true, Until: h.lastSeen.Time(), RulesChanged: true})
}

// intervals is a set of intervals.
type intervals []interval

// contain reports whether a time lies in one of the intervals.
func (all intervals) contain(t time.Time) bool {
	for _, i := range all {
		if i.contains(t) {
			return true
		}
	}
	return false
}
