package stage

import (
	"context"

	"footfall/events"
	"footfall/shared/presence"
)

// RulesSince is one revision of a business's rules. Rules decides on all records
// after the tick whose watermark reaches Since.
type RulesSince struct {
	Since presence.Instant
	Rules presence.Rules
}

// Businesses stores the rules by which detect decides, present and past.
type Businesses interface {
	// Rules returns the revisions of each business, past and present, in the order of
	// ids; the revisions of a business are in ascending order of Since. A business
	// without rules of its own has no revisions. The caller MUST NOT change the
	// slices.
	//
	// The result MUST include every revision stored half a minute ago or earlier. A
	// writer of rules MUST set Since further ahead than half a minute: then every
	// reader has the rules before any partition's watermark reaches Since, and a
	// redelivered batch is decided by the same rules.
	Rules(ctx context.Context, ids []events.BusinessID) ([][]RulesSince, error)
}

// DefaultRules returns a Businesses in which no business has rules of its own.
func DefaultRules() Businesses { return noRules{} }

type noRules struct{}

// Rules returns no revisions for each of ids.
func (noRules) Rules(_ context.Context, ids []events.BusinessID) ([][]RulesSince, error) {
	return make([][]RulesSince, len(ids)), nil
}

// Excluded reports whether a sighting is left out of all decisions: its device is
// on one of the business's device lists, or its sensor is not in the store. The
// sensor of a login is always in the store.
func Excluded(r *presence.Rules, s *events.Sighting) bool {
	if r.Excluded != nil {
		if _, out := r.Excluded[string(s.Device)]; out {
			return true
		}
	}
	// Without a list of sensors, all sensors are in the store.
	if r.Sensors == nil || s.Sensor == portalSensor {
		return false
	}
	_, in := r.Sensors[string(s.Sensor)]
	return !in
}

// reports translates the reports of package events into those of package presence.
var reports = map[events.Session]presence.Report{
	events.SessionJoined: presence.Joined, events.SessionAlive: presence.Alive, events.SessionLeft: presence.Left,
}

// PresenceSighting returns the part of a sighting that the rules of presence read.
func PresenceSighting(s *events.Sighting) presence.Sighting {
	in := presence.Sighting{
		SeenAt: presence.InstantOf(s.SeenAt), RSSI: int32(s.RSSI),
		Associated: s.Associated, Randomised: s.Randomised,
	}
	if s.Session != events.SessionNone {
		in.Report, in.Router = reports[s.Session], presence.RouterHash(string(s.Sensor))
	}
	return in
}
