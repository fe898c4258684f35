package stage

import (
	"context"

	"footfall/events"
	"footfall/shared/presence"
)

// DefaultRules is a Businesses of which none has rules of its own.
func DefaultRules() Businesses { return noRules{} }

type noRules struct{}

// Rules gives none.
func (noRules) Rules(_ context.Context, ids []events.BusinessID) ([][]RulesSince, error) {
	return make([][]RulesSince, len(ids)), nil
}

// Excluded says that a sighting counts for nothing: of a device that is no
// customer's, or by a sensor that is not in the store. What a login tells is
// always in the store.
func Excluded(r *presence.Rules, s *events.Sighting) bool {
	if r.Excluded != nil {
		if _, out := r.Excluded[string(s.Device)]; out {
			return true
		}
	}
	if r.Sensors == nil || s.Sensor == portalSensor {
		return false
	}
	_, in := r.Sensors[string(s.Sensor)]
	return !in
}
