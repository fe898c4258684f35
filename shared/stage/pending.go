package stage

import (
	"context"
	"time"

	"footfall/events"
)

// Attribution is a walk-in and, unless the walk-in is pending, its contact. The
// contact is written once and never changed: a retry and a replay attribute a
// walk-in to the same contact.
type Attribution struct {
	WalkIn   events.WalkIn
	Contact  events.ContactID // "" while the walk-in is pending
	BoundAt  time.Time        // start of the binding that decided; zero while pending
	LastSeen time.Time        // when the device was last seen in the visit; zero until the visit has ended
}

// Pending stores the walk-ins of each device, pending or attributed. Reads MUST be
// strongly consistent. PutNew, Resolve and End of the same walk-in MUST take effect
// one after the other: if End and a write of the contact run at the same time, the
// later of the two MUST return both the end and the contact.
type Pending interface {
	// PutNew MUST store a only if the walk-in is not stored yet. It returns the
	// attribution stored after the call.
	PutNew(ctx context.Context, a Attribution, expires time.Time) (Attribution, error)
	// Resolve MUST set Contact and BoundAt only if no contact is stored, and MUST
	// fail if the walk-in is not stored. It returns the attribution stored after the
	// call.
	Resolve(ctx context.Context, a Attribution) (Attribution, error)
	// End sets LastSeen if no later time is stored, and returns the attribution
	// stored after the call. The end of a visit may be read before the walk-in, which
	// is on another topic: if the walk-in is not stored, End MUST store its id,
	// business, device and start. End MUST NOT store a contact.
	End(ctx context.Context, a Attribution, expires time.Time) (Attribution, error)
	// Stored returns the attributions of walk-ins, in the order of walkIns, with a
	// zero Attribution for a walk-in that is not stored. Each MUST include every write
	// that returned before the call. A walk-in may occur more than once.
	Stored(ctx context.Context, walkIns []events.WalkIn) ([]Attribution, error)
	// OfDevice returns the walk-ins of a device that started at from or later, in
	// ascending order of start.
	OfDevice(ctx context.Context, key IdentityKey, from time.Time) ([]Attribution, error)
}
