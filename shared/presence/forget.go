package presence

import (
	"slices"
	"time"
)

// Forget returns the history without a contact: its bindings with From at until
// or before are removed, and so is its name in the merges that took the device
// from the contact. Every other contact keeps the device for the same time as
// before:
//
//   - The binding before that of the removed contact ends where the removed one
//     began: its contact does not get the device back.
//   - A merge that took the device from the removed contact holds by itself.
//   - The exception is a login or merge of others that is older than a removed
//     binding and arrives only afterwards: it no longer ends at the removed binding.
//
// If no binding is left, Forget returns the zero History, without LastSeen.
func (h History) Forget(contact string, until time.Time) History {
	names := func(b Binding) bool {
		return (b.Contact == contact || b.MergedFrom == contact) && !b.From.After(until)
	}
	if !slices.ContainsFunc(h.Bindings, names) {
		return h
	}

	// Copy the bindings that do not name the contact to rest. holder is the index in
	// rest of the latest binding that holds.
	held, holder := h.Held(), -1
	var rest []Binding
	for _, b := range h.Bindings {
		holds := slices.Contains(held, b)
		switch {
		case !names(b):
			// A binding of others stays.
		case b.Contact == contact:
			if holds && holder >= 0 {
				rest[holder] = rest[holder].endedBy(b.From)
			}
			continue
		case !holds:
			// A merge from the contact that does not hold: day 1 ann logs in, day 3 bob
			// logs in, day 4 ann is merged into carl. It cannot hold later either, since
			// no login of the contact before it is left.
			continue
		default:
			b.MergedFrom = ""
		}
		if rest = append(rest, b); holds {
			holder = len(rest) - 1
		}
	}
	if len(rest) == 0 {
		return History{}
	}
	h.Bindings = rest

	// If all that is left has ended, LastSeen after the last end is a sighting of the
	// removed contact: cut it.
	if !slices.ContainsFunc(rest, func(b Binding) bool { return b.Until.IsZero() }) {
		last := slices.MaxFunc(rest, func(a, b Binding) int { return a.Until.Compare(b.Until) })
		if h.LastSeen.After(last.Until) {
			h.LastSeen = last.Until
		}
	}
	return h
}

// endedBy returns the binding with Until at next if it does not end before.
func (b Binding) endedBy(next time.Time) Binding {
	if b.Until.IsZero() || b.Until.After(next) {
		b.Until = next
	}
	return b
}
