package audit

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Histories are the rules of the businesses that have any of their own, each by
// ascending Since.
type Histories map[events.BusinessID][]stage.RulesSince

// at gives the rules of a business in force at a clock.
func (in *Input) at(id events.BusinessID, clock presence.Instant) presence.Rules {
	for i := len(in.Businesses[id]) - 1; i >= 0; i-- {
		if r := &in.Businesses[id][i]; r.Since <= clock {
			return r.Rules
		}
	}
	return in.Rules
}

// changed says whether other rules of a business began after from, up to to.
func (in *Input) changed(id events.BusinessID, from, to presence.Instant) bool {
	for i := range in.Businesses[id] {
		if since := in.Businesses[id][i].Since; from < since && since <= to {
			return true
		}
	}
	return false
}

// hold is the weakest signal that ever counted at a business. What decides leaves
// out what is too weak for its own rules.
func (in *Input) hold(id events.BusinessID) int32 {
	hold := in.Rules.Hold
	for i := range in.Businesses[id] {
		hold = min(hold, in.Businesses[id][i].Rules.Hold)
	}
	return hold
}

// widest are rules whose spans are as long as those of any business: what they
// wait for, all have waited for.
func (in *Input) widest() presence.Rules {
	w := in.Rules
	for _, history := range in.Businesses {
		for i := range history {
			r := &history[i].Rules
			w.MinStrong, w.MinSpan, w.MaxGap = max(w.MinStrong, r.MinStrong), max(w.MinSpan, r.MinSpan), max(w.MaxGap, r.MaxGap)
			w.Silence, w.Lateness = max(w.Silence, r.Silence), max(w.Lateness, r.Lateness)
		}
	}
	return w
}

// clockOf is the clock that the rules for a record go by: before the first tick
// the record's timestamp, as in detect.
func (c *recount) clockOf(r *kgo.Record) presence.Instant {
	if c.clock != 0 {
		return c.clock
	}
	return max(0, presence.InstantOf(r.Timestamp))
}

// ruledOut says that a sighting counts for nothing at its business.
func (c *recount) ruledOut(r *kgo.Record, s *events.Sighting) bool {
	if len(c.in.Businesses[s.Business]) == 0 {
		return false
	}
	rules := c.in.at(s.Business, c.clockOf(r))
	return stage.Excluded(&rules, s)
}

// tellChanged tells of a device that was heard around a change of its business's
// rules. What the change made of its visits is for the stage to know: which rules
// decided on what, the clocks between two ticks included. So its walk-ins are
// taken as they were told.
func (c *recount) tellChanged(device string, h *heard) {
	first := h.last
	for _, one := range h.all {
		if one.Tick == 0 {
			first = min(first, one.Sighting.SeenAt)
		}
	}
	c.tell(Visit{Device: device, Start: first.Time(), Uncertain: true, Until: h.last.Time(), RulesChanged: true})
}

// windows are several.
type windows []window

// holds says whether any of them has a moment in it.
func (all windows) holds(at time.Time) bool {
	for _, w := range all {
		if w.holds(at) {
			return true
		}
	}
	return false
}
