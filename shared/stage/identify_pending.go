package stage

import (
	"context"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// claimPending attributes pending walk-ins of a device after a login at loginAt,
// and returns them as stored, for their enriched walk-ins. history is the device's stored history,
// including the login.
//
// The result also holds attributed walk-ins: an earlier attempt at the same login
// may have stored a contact and failed before it could produce the record. The
// history may have changed since, so the stored attributions decide:
//
//   - Start before the login: any binding may have attributed the walk-in during
//     the earlier attempt. Produce again.
//   - Start at or after the login, attributed by the login's binding or by a later
//     binding, such as a merge: the earlier attempt may have attributed the walk-in,
//     and no other event produces the record. Produce again.
//   - Start at or after the login, attributed by an earlier binding: the login did
//     not attribute the walk-in. Leave out.
func (h *identify) claimPending(ctx context.Context, key IdentityKey, loginAt time.Time, history presence.History) ([]Attribution, error) {
	walkIns, err := h.deps.Pending.OfDevice(ctx, key, loginAt.Add(-presence.LoginWindow))
	if err != nil {
		return nil, err
	}
	var claimed []Attribution
	for _, a := range walkIns {
		// The third case above.
		if a.Contact != "" && a.BoundAt.Before(loginAt) && !a.WalkIn.StartedAt.Before(loginAt) {
			continue
		}
		if a.Contact == "" {
			binding, ok := history.Attribute(a.WalkIn.StartedAt)
			if !ok {
				continue // still pending: no binding at the start, and no login soon after
			}
			// Enrich may store a contact at the same time. Resolve keeps and returns the
			// contact stored first.
			a.Contact, a.BoundAt = events.ContactID(binding.Contact), binding.From
			if a, err = h.deps.Pending.Resolve(ctx, a); err != nil {
				return nil, err
			}
		}
		claimed = append(claimed, a)
	}
	return claimed, nil
}
