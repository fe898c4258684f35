package presence

import (
	"cmp"
	"slices"
	"time"
)

// Binding states that a device is bound to a contact from From on, until Until, or
// until the next binding if Until is zero.
type Binding struct {
	Contact string
	From    time.Time
	Until   time.Time
	// MergedFrom is the contact from which a merge took the device, "" for a login.
	// The binding of a merge holds only if the device was bound to MergedFrom at From:
	// a login of a third contact, from before the merge, may arrive after both.
	MergedFrom string
}

// History holds all bindings of one device, in ascending order of From. The zero
// History is that of a device without a login.
//
// A history is kept, not only the present binding, so that a walk-in is attributed
// to the contact that the device was bound to at the time, however late the
// history is read: after lag, in a replay, with logins that arrived out of order.
type History struct {
	Bindings   []Binding
	Randomised bool
	LastSeen   time.Time // latest login, or walk-in that renewed the binding (see Seen)
}

const (
	// BindingExpiry is how long a binding on a randomised address lasts after the login
	// or the merge that it begins with, and after each walk-in that renews it: a phone
	// draws a new address for a network that it forgot.
	BindingExpiry = 45 * 24 * time.Hour
	// renewal is how long after LastSeen a walk-in renews the binding. Smaller moves
	// would cost a write per walk-in and move the expiry by less than a day.
	renewal = 24 * time.Hour
	// LoginWindow is how long after the start of a visit a login still attributes the
	// walk-in. The window covers the stay of a first-time visitor, but not the visit
	// of the morning before that of the evening.
	LoginWindow = 3 * time.Hour
	// maxBindings is the largest number of bindings kept; the oldest are dropped.
	maxBindings = 64
)

// Bind returns the history with a portal login added: the device is bound to
// contact from loginAt on. Logins may be bound in any order and more than once;
// the result is the same. walkIns are the starts of walk-ins of the device that are
// known already, in ascending order: they renew the binding of a login that arrives
// after them.
//
// On a randomised address, Bind also writes down which bindings had expired by
// then (expire). With BindingExpiry at 45 days:
//
//   - 1 January 9:00 ann logs in. 11 January 9:00 the device is last seen. After 25
//     February 9:00, 45 days later, the device is bound to no contact.
//   - 2 March 8:50 the device walks in. 9:00 bob logs in, which makes LastSeen 2
//     March. By LastSeen alone the device would have been seen all the time, and the
//     walk-in of 8:50 would be attributed to ann. So Bind ends the binding of ann at
//     25 February 9:00, plus a millisecond, and the login of bob attributes the
//     walk-in.
//   - If instead the device was seen each day until 11 April, and the login of bob
//     on 2 March arrives only then, LastSeen is 11 April. The device may have been
//     seen at any time up to 2 March, so the binding of ann is left as it is.
func (h History) Bind(contact string, loginAt time.Time, randomised bool, walkIns ...time.Time) History {
	h.Randomised = h.Randomised || randomised
	h = h.insert(Binding{Contact: contact, From: loginAt})
	if h.Randomised {
		h = h.expire(loginAt, walkIns)
	}
	if loginAt.After(h.LastSeen) {
		h.LastSeen = loginAt
	}
	return h
}

// expire returns the history with Until set on the bindings next to a login that
// had expired before the binding after them began. It must run before LastSeen
// moves to the login.
func (h History) expire(loginAt time.Time, walkIns []time.Time) History {
	h.Bindings = slices.Clone(h.Bindings)
	for i := range max(0, len(h.Bindings)-1) {
		b, next := &h.Bindings[i], h.Bindings[i+1].From

		// LastSeen counts for the binding in which it lies.
		seen := b.From
		if h.LastSeen.After(seen) && h.LastSeen.Before(next) {
			seen = h.LastSeen
		}
		for _, start := range walkIns {
			if off := start.Sub(seen); b.From.Equal(loginAt) && start.Before(next) && off >= renewal && off <= BindingExpiry {
				seen = start
			}
		}

		// Two bindings are certain: that of the login, and the one before the login if
		// the device was last seen before the login. If the login arrives late and
		// LastSeen is later, the device may have been seen under the binding before it
		// at any time up to the login.
		certain := b.From.Equal(loginAt) || next.Equal(loginAt) && h.LastSeen.Before(loginAt)
		// A deletion that came after the expiry has set Until too late: 1 January ann logs
		// in, 1 May 8:50 the device walks in, 9:10 ann is deleted, and then the login of
		// bob of 9:00 arrives, which attributes the walk-in.
		expiry := seen.Add(BindingExpiry + time.Millisecond) // the first moment past the expiry
		if certain && next.Sub(seen) > BindingExpiry && (b.Until.IsZero() || b.Until.After(expiry)) {
			b.Until = expiry
		}
	}
	return h
}

// insert returns the history with a binding added in its place by From. A binding
// that the history has already is not added again.
func (h History) insert(b Binding) History {
	i, found := slices.BinarySearchFunc(h.Bindings, b, func(a, b Binding) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Contact, b.Contact))
	})
	if found && (b.MergedFrom != "" || h.Bindings[i].MergedFrom == "") {
		return h
	}

	// The contact logs in at the very moment of a merge into it: the login holds by
	// itself, whether or not the merge does.
	if found {
		h.Bindings = slices.Clone(h.Bindings)
		h.Bindings[i].MergedFrom = ""
		return h
	}

	h.Bindings = slices.Insert(slices.Clone(h.Bindings), i, b)
	if over := len(h.Bindings) - maxBindings; over > 0 {
		h.Bindings = h.Bindings[over:]
	}
	return h
}

// Release returns the history with the bindings of a contact ended at deletedAt,
// when the CRM deleted the contact. Bindings that begin after deletedAt stay.
func (h History) Release(contact string, deletedAt time.Time) History {
	h.Bindings = slices.Clone(h.Bindings)
	for i := range h.Bindings {
		b := &h.Bindings[i]
		if b.Contact == contact && !b.From.After(deletedAt) && (b.Until.IsZero() || b.Until.After(deletedAt)) {
			b.Until = deletedAt
		}
	}
	return h
}

// Hand returns the history with the device bound to contact into from mergedAt
// on, when the CRM merged contact into it. If the device is not bound to contact at
// mergedAt, the history is returned unchanged.
func (h History) Hand(contact, into string, mergedAt time.Time) History {
	if b, ok := h.Owner(mergedAt); !ok || b.Contact != contact {
		return h
	}
	return h.insert(Binding{Contact: into, From: mergedAt, MergedFrom: contact})
}

// Seen returns the history with LastSeen moved to seenAt, the start of a walk-in.
// changed reports whether LastSeen moved: it moves if a binding can expire, that
// is on a randomised address with a binding, and by renewal or more.
func (h History) Seen(seenAt time.Time) (next History, changed bool) {
	if !h.Randomised || len(h.Bindings) == 0 || seenAt.Sub(h.LastSeen) < renewal {
		return h, false
	}
	h.LastSeen = seenAt
	return h, true
}

// Held returns the bindings that hold: all logins, and the merges at whose time the
// device was bound to the merged contact. The result may share its slice with
// h and must not be changed.
//
// A merge may cease to hold when an older login arrives late. Day 1 ann logs in.
// Day 4 ann is merged into bob, and the device is bound to bob. Then a login of carl
// of day 3 arrives: on day 4 the device was bound to carl, so the merge does not
// hold.
func (h History) Held() []Binding {
	if !slices.ContainsFunc(h.Bindings, func(b Binding) bool { return b.MergedFrom != "" }) {
		return h.Bindings
	}
	held := make([]Binding, 0, len(h.Bindings))
	for _, b := range h.Bindings {
		if b.MergedFrom != "" {
			if from, ok := h.inForce(held, b.From); !ok || from.Contact != b.MergedFrom {
				continue
			}
		}
		held = append(held, b)
	}
	return held
}

// Owner returns the binding in force at a moment; ok is false if none is.
func (h History) Owner(moment time.Time) (b Binding, ok bool) { return h.inForce(h.Held(), moment) }

// inForce returns the latest of the bindings that begins at the moment or before;
// ok is false if it had ended or expired by then.
func (h History) inForce(bindings []Binding, moment time.Time) (b Binding, ok bool) {
	for _, b := range slices.Backward(bindings) {
		if b.From.After(moment) {
			continue
		}
		seen := h.LastSeen
		if seen.Before(b.From) {
			seen = b.From
		}
		expired := h.Randomised && moment.Sub(seen) > BindingExpiry
		released := !b.Until.IsZero() && !b.Until.After(moment)
		return b, !expired && !released
	}
	return Binding{}, false
}

// Attribute returns the binding whose contact a walk-in is attributed to: the one
// in force at the start of the visit, or else the first login within LoginWindow
// after the start. ok is false if the walk-in is unattributed.
func (h History) Attribute(start time.Time) (b Binding, ok bool) {
	if b, ok = h.Owner(start); ok {
		return b, true
	}
	for _, b := range h.Bindings {
		if b.MergedFrom == "" && b.From.After(start) && b.From.Sub(start) <= LoginWindow {
			return b, true
		}
	}
	return Binding{}, false
}

// Equal reports whether two histories have the same bindings and were seen at the
// same time.
func (h History) Equal(o History) bool {
	return h.Randomised == o.Randomised && h.LastSeen.Equal(o.LastSeen) &&
		slices.EqualFunc(h.Bindings, o.Bindings, func(a, b Binding) bool {
			return a.Contact == b.Contact && a.From.Equal(b.From) && a.Until.Equal(b.Until) && a.MergedFrom == b.MergedFrom
		})
}
