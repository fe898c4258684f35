package simtest

import (
	"context"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// ruled are the rules of businesses that have some of their own.
type ruled map[events.BusinessID][]stage.RulesSince

// ownRules goes one of the other ways with stores that are closed at times, so that
// some visits are residents'. In some runs the rules of one store change meanwhile,
// as they were announced.
func ownRules(w *world) {
	w.own = ruled{"b0": {{Rules: w.closedAtTimes()}}, "b1": {{Rules: w.closedAtTimes()}}}
	if id := events.BusinessID("b0"); w.chance(2) {
		next := w.closedAtTimes()
		next.Entry, next.Silence = -60, 20*time.Minute
		since := w.script.begin.Add(w.script.minutes(0, 150))
		w.own[id] = append(w.own[id], stage.RulesSince{Since: presence.InstantOf(since), Rules: next})
	}
	ways := []func(*world){normal, replay, recreated, partitionsAdded, environments, overlap}
	ways[w.random.IntN(len(ways))](w)
}

// closedAtTimes are rules with about half of all hours closed.
func (w *world) closedAtTimes() presence.Rules {
	r := presence.DefaultRules()
	for day := range r.Closed {
		r.Closed[day] = w.random.Uint32() & (1<<24 - 1)
	}
	return r
}

// rulesFor is where an environment asks for rules.
func (w *world) rulesFor(p *ports) stage.Businesses {
	if w.own == nil {
		return w.rules
	}
	return p
}

// Rules gives the rules of businesses, as they are all along.
func (p *ports) Rules(ctx context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	all := make([][]stage.RulesSince, len(ids))
	err := p.w.call(ctx, call{port: "businesses", op: "rules", n: int64(len(ids)), do: func() error {
		for i, id := range ids {
			all[i] = p.w.own[id]
		}
		return nil
	}})
	return all, err
}

// of gives the rules that a device's visits are decided by.
func (r ruled) of(device string) presence.Rules {
	business, _, _ := strings.Cut(device, "/")
	if own := r[events.BusinessID(business)]; len(own) > 0 {
		return own[0].Rules
	}
	return presence.DefaultRules()
}

// change says that the rules for a device change.
func (r ruled) change(device string) bool {
	business, _, _ := strings.Cut(device, "/")
	return len(r[events.BusinessID(business)]) > 1
}
