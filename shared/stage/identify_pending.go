package stage

import (
	"context"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// claimPending attributes pending walk-ins of a device after a login at loginAt,
// and returns them as stored, for their enriched walk-ins. history is the device's
// stored history, including the login.
//
// The walk-ins renew the binding of a randomised address, each for those after it,
// as they do in enrich. claimPending stores the latest of them, and then looks for
// pending walk-ins again: enrich may have stored one as pending meanwhile, by the
// history without the renewal.
func (h *identify) claimPending(ctx context.Context, key IdentityKey, loginAt time.Time, history presence.History) ([]Attribution, error) {
	for {
		claimed, lastSeen, err := h.claimOnce(ctx, key, loginAt, history)
		if err != nil || !lastSeen.After(history.LastSeen) {
			return claimed, err
		}
		if history, err = recordSeen(ctx, h.deps.Identities, key, lastSeen); err != nil {
			return nil, err
		}
	}
}

// claimOnce is one look of claimPending. lastSeen is the LastSeen of the history
// after the walk-ins.
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
func (h *identify) claimOnce(ctx context.Context, key IdentityKey, loginAt time.Time, history presence.History,
) (claimed []Attribution, lastSeen time.Time, err error) {
	walkIns, err := h.deps.Pending.OfDevice(ctx, key, loginAt.Add(-presence.LoginWindow))
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, a := range walkIns {
		binding, bound := history.Attribute(a.WalkIn.StartedAt)
		if bound {
			history, _ = history.Seen(a.WalkIn.StartedAt)
		}
		switch {
		case a.Contact == "" && !bound:
			continue // still pending: no binding at the start, and no login soon after
		case a.Contact == "":
			// Enrich may store a contact at the same time. Resolve keeps and returns the
			// contact stored first.
			a.Contact, a.BoundAt = events.ContactID(binding.Contact), binding.From
			if a, err = h.deps.Pending.Resolve(ctx, a); err != nil {
				return nil, time.Time{}, err
			}
		case a.BoundAt.Before(loginAt) && !a.WalkIn.StartedAt.Before(loginAt):
			continue // the third case above
		}
		claimed = append(claimed, a)
	}
	return claimed, history.LastSeen, nil
}
