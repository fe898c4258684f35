package presence

import (
	"cmp"
	"slices"
	"time"
)

// Binding says that a device was a contact's from From on, until Until (zero:
// until the next binding).
type Binding struct {
	Contact string
	From    time.Time
	Until   time.Time
	// MergedFrom is the contact that a merge took the device from, "" for a login. The
	// binding holds only where the device was that contact's then: a login from
	// between its login and the merge may be told after both.
	MergedFrom string
}

// History is everything known of who a device belonged to. The zero History is
// a device nobody ever logged in with. Bindings are in ascending order of From.
//
// It is a history and not just the present owner, so that a walk-in is given to
// who owned the device at the time, however late it is looked at: after lag, in
// a replay, with logins that arrived out of order.
type History struct {
	Bindings   []Binding
	Randomised bool
	LastSeen   time.Time // latest login or walk-in of a bound device
}

const (
	// BindingExpiry ends a binding on a randomised address that was not seen for
	// so long: phones draw a new address for a network they forgot.
	BindingExpiry = 45 * 24 * time.Hour
	// LoginWindow is how long after walking in a login still tells whose walk-in
	// it was. It covers a first-time visitor's stay and not the visit of the
	// morning before that of the evening.
	LoginWindow = 3 * time.Hour
	// maxBindings bounds a device's history; the oldest go first.
	maxBindings = 64
)

// Bind adds what a portal login tells: the device is contact's from at on. It
// does the same in any order of logins and when told twice.
func (h History) Bind(contact string, at time.Time, randomised bool) History {
	h.Randomised = h.Randomised || randomised
	h = h.insert(Binding{Contact: contact, From: at})
	if h.Randomised {
		h = h.expire(at)
	}
	if at.After(h.LastSeen) {
		h.LastSeen = at
	}
	return h
}

// expire writes down where the bindings around a login had expired by the one
// that follows. LastSeen cannot tell any more once it has moved on: it would
// say that the device was seen all the time, and a walk-in from just before the
// login would go to who had the address months ago.
func (h History) expire(at time.Time) History {
	h.Bindings = slices.Clone(h.Bindings)
	for i := range max(0, len(h.Bindings)-1) {
		b, next := &h.Bindings[i], h.Bindings[i+1].From
		seen := b.From
		if h.LastSeen.After(seen) && h.LastSeen.Before(next) {
			seen = h.LastSeen
		}
		// Where LastSeen is later than a login that is told late, the binding before
		// it may have been seen at any time up to that login.
		known := b.From.Equal(at) || next.Equal(at) && h.LastSeen.Before(at)
		if known && b.Until.IsZero() && next.Sub(seen) > BindingExpiry {
			b.Until = seen.Add(BindingExpiry + time.Millisecond) // the first moment that is over it
		}
	}
	return h
}

func (h History) insert(b Binding) History {
	i, found := slices.BinarySearchFunc(h.Bindings, b, func(a, b Binding) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Contact, b.Contact))
	})
	if found && (b.MergedFrom != "" || h.Bindings[i].MergedFrom == "") {
		return h
	}
	if found { // a login at the moment of a merge holds by itself
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

// Release ends what bindings contact has from at on, since the CRM deleted the
// contact.
func (h History) Release(contact string, at time.Time) History {
	h.Bindings = slices.Clone(h.Bindings)
	for i := range h.Bindings {
		b := &h.Bindings[i]
		if b.Contact == contact && !b.From.After(at) && (b.Until.IsZero() || b.Until.After(at)) {
			b.Until = at
		}
	}
	return h
}

// Hand gives the device to another contact from at on if it is contact's then,
// since the CRM found the two to be one person.
func (h History) Hand(contact, to string, at time.Time) History {
	if b, ok := h.Owner(at); !ok || b.Contact != contact {
		return h
	}
	return h.insert(Binding{Contact: to, From: at, MergedFrom: contact})
}

// Seen notes a walk-in of the device. changed is true where that matters: for a
// binding that can expire, and where LastSeen moves by a day or more. Finer
// steps would cost a write per walk-in and tell nothing more of 45 days.
func (h History) Seen(at time.Time) (next History, changed bool) {
	if !h.Randomised || len(h.Bindings) == 0 || at.Sub(h.LastSeen) < 24*time.Hour {
		return h, false
	}
	h.LastSeen = at
	return h, true
}

// Held is the bindings without those of merges that do not hold, which may share
// their slice with h.
func (h History) Held() []Binding {
	if !slices.ContainsFunc(h.Bindings, func(b Binding) bool { return b.MergedFrom != "" }) {
		return h.Bindings
	}
	held := make([]Binding, 0, len(h.Bindings))
	for _, b := range h.Bindings {
		if b.MergedFrom != "" {
			if from, ok := h.ownerAmong(held, b.From); !ok || from.Contact != b.MergedFrom {
				continue
			}
		}
		held = append(held, b)
	}
	return held
}

// Owner is the binding in force at a moment.
func (h History) Owner(at time.Time) (b Binding, ok bool) { return h.ownerAmong(h.Held(), at) }

func (h History) ownerAmong(bindings []Binding, at time.Time) (b Binding, ok bool) {
	for _, b := range slices.Backward(bindings) {
		if b.From.After(at) {
			continue
		}
		seen := h.LastSeen
		if seen.Before(b.From) {
			seen = b.From
		}
		expired := h.Randomised && at.Sub(seen) > BindingExpiry
		released := !b.Until.IsZero() && !b.Until.After(at)
		return b, !expired && !released
	}
	return Binding{}, false
}

// Attribute gives the binding that tells whose a walk-in is: the one in force
// when it began, or else the first login within LoginWindow after that.
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

// Equal says whether two histories say the same.
func (h History) Equal(o History) bool {
	return h.Randomised == o.Randomised && h.LastSeen.Equal(o.LastSeen) &&
		slices.EqualFunc(h.Bindings, o.Bindings, func(a, b Binding) bool {
			return a.Contact == b.Contact && a.From.Equal(b.From) && a.Until.Equal(b.Until) && a.MergedFrom == b.MergedFrom
		})
}
