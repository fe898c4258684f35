package presence

import (
	"slices"
	"time"
)

// Forget takes a contact out of a history, with all its bindings from until or
// before. Everybody else owns the device at the same moments as before: who
// owned it ahead of the contact no longer does from the contact's login on, and
// a merge that took the device from the contact holds by itself. A login or a
// merge of others that is older than what was taken out and told only later is
// the exception: it no longer ends where the contact's began.
//
// A history that says nothing more is the zero one, without when the device was
// seen.
func (h History) Forget(contact string, until time.Time) History {
	names := func(b Binding) bool {
		return (b.Contact == contact || b.MergedFrom == contact) && !b.From.After(until)
	}
	if !slices.ContainsFunc(h.Bindings, names) {
		return h
	}
	held, owner := h.Held(), -1 // the latest in rest that holds
	var rest []Binding
	for _, b := range h.Bindings {
		holds := slices.Contains(held, b)
		switch {
		case !names(b):
		case b.Contact == contact:
			if holds && owner >= 0 {
				rest[owner] = rest[owner].endedBy(b.From)
			}
			continue
		case !holds:
			continue // nor will it: no login of the contact comes before it any more
		default:
			b.MergedFrom = ""
		}
		if rest = append(rest, b); holds {
			owner = len(rest) - 1
		}
	}
	if len(rest) == 0 {
		return History{}
	}
	h.Bindings = rest
	// What was seen after all that is left has ended was the contact.
	if !slices.ContainsFunc(rest, func(b Binding) bool { return b.Until.IsZero() }) {
		last := slices.MaxFunc(rest, func(a, b Binding) int { return a.Until.Compare(b.Until) })
		if h.LastSeen.After(last.Until) {
			h.LastSeen = last.Until
		}
	}
	return h
}

// endedBy is the binding where another one begins at at.
func (b Binding) endedBy(at time.Time) Binding {
	if b.Until.IsZero() || b.Until.After(at) {
		b.Until = at
	}
	return b
}
