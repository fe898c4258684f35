package simtest

import (
	"context"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// rulesByBusiness holds the rules of businesses that have rules of their own.
type rulesByBusiness map[events.BusinessID][]stage.RulesSince

// ownRules runs one of six other modes with businesses that are closed at times, so
// that some visits are of resident devices. In half of the runs the rules of one
// business change at a moment that is known beforehand.
func ownRules(w *world) {
	w.businessRules = rulesByBusiness{"b0": {{Rules: w.closedAtTimes()}}, "b1": {{Rules: w.closedAtTimes()}}}
	if id := events.BusinessID("b0"); w.chance(2) {
		next := w.closedAtTimes()
		next.Entry, next.Silence = -60, 20*time.Minute
		since := w.script.begin.Add(w.script.minutes(0, 150))
		w.businessRules[id] = append(w.businessRules[id], stage.RulesSince{Since: presence.InstantOf(since), Rules: next})
	}
	others := []func(*world){normal, replay, recreated, partitionsAdded, environments, overlap}
	others[w.random.IntN(len(others))](w)
}

// closedAtTimes returns rules with about half of all hours closed.
func (w *world) closedAtTimes() presence.Rules {
	r := presence.DefaultRules()
	for day := range r.Closed {
		r.Closed[day] = w.random.Uint32() & (1<<24 - 1)
	}
	return r
}

// rulesFor returns the port at which an environment asks for rules.
func (w *world) rulesFor(p *ports) stage.Businesses {
	if w.businessRules == nil {
		return w.rules
	}
	return p
}

// Rules returns the rules of businesses, which are the same during the whole run:
// a change has its moment in them from the beginning.
func (p *ports) Rules(ctx context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	all := make([][]stage.RulesSince, len(ids))
	err := p.w.call(ctx, call{port: "businesses", op: "rules", n: int64(len(ids)), do: func() error {
		for i, id := range ids {
			all[i] = p.w.businessRules[id]
		}
		return nil
	}})
	return all, err
}

// forDevice returns the rules of the business of a device, given by its record
// key: the first ones if they change.
func (r rulesByBusiness) forDevice(device string) presence.Rules {
	business, _, _ := strings.Cut(device, "/")
	if own := r[events.BusinessID(business)]; len(own) > 0 {
		return own[0].Rules
	}
	return presence.DefaultRules()
}

// changeFor reports whether the rules for a device change during the run.
func (r rulesByBusiness) changeFor(device string) bool {
	business, _, _ := strings.Cut(device, "/")
	return len(r[events.BusinessID(business)]) > 1
}
