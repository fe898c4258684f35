package business

import (
	"context"
	"time"

	"footfall/events"
)

// Store is what Change.Apply writes to. dynamo.Businesses is one.
type Store interface {
	// SetRules MUST store settings that hold from the moment from on, or from a
	// later moment if some environment would not know the settings by from. SetRules
	// MUST return the moment from which on the settings hold.
	SetRules(ctx context.Context, id events.BusinessID, s Settings, from time.Time) (since time.Time, err error)
	// PutRules MUST store a revision that holds from exactly r.Since on, even if
	// that moment has passed.
	PutRules(ctx context.Context, id events.BusinessID, r Revision) error
	// PutDoor MUST replace the door of the business.
	PutDoor(ctx context.Context, id events.BusinessID, d Door) error
}

// Start is the moment of event time from which on new rules hold.
type Start struct {
	Since time.Time // the zero time if the rules have always held
	// Rewrite allows a Since in the past. Records emitted since then stay as they
	// are, but a replay or an audit decides by the new rules.
	Rewrite bool
}

// ImportStart returns the start of rules imported before a pipeline starts. Nothing
// was decided of a business of which nothing is stored, so the rules have always
// held. The rules of any other business begin at Soonest.
func (s Stored) ImportStart(now time.Time) Start {
	if s.Revisions == nil && s.Door == nil {
		return Start{Rewrite: true}
	}
	return Start{Since: Soonest(now)}
}

// Change is the difference that storing a document makes to one business. Plan
// returns a change, and Apply stores it.
type Change struct {
	ID events.BusinessID

	// Rules are the settings to write, nil to write none.
	Rules *Settings
	// Start is the moment from which on Rules hold.
	Start Start
	// RulesDiff holds the differences of Rules from the settings in force at
	// Start.Since. RulesDiff is empty if Rules are written only to drop later
	// revisions.
	RulesDiff []Difference
	// Dropped holds the stored revisions that begin after Start.Since, which writing
	// Rules drops.
	Dropped []Revision

	// Door is the door to write, nil to write none.
	Door *Door
	// DoorDiff holds the differences of Door from the stored door.
	DoorDiff []Difference
}

// Plan returns the change that stores doc over what is stored of a business. Rules
// are written if they differ from the settings in force at start.Since, or if a
// stored revision begins after start.Since. A door is written if it differs from the
// stored door. Plan does no I/O. doc must be valid, as ReadDocument returns it.
func Plan(id events.BusinessID, stored Stored, doc Document, start Start) Change {
	c := Change{ID: id, Start: start}
	if doc.Rules != nil {
		// Compare with the settings that the new ones follow.
		var former *Settings
		if r, ok := stored.Revisions.At(start.Since); ok {
			former = &r.Settings
		}
		c.RulesDiff = DiffSettings(former, *doc.Rules)
		// New rules replace later revisions. So rules are written if there are any, even
		// if doc repeats the settings in force.
		for _, r := range stored.Revisions {
			if r.Since.After(start.Since) {
				c.Dropped = append(c.Dropped, r)
			}
		}
		if len(c.RulesDiff) > 0 || len(c.Dropped) > 0 {
			c.Rules = doc.Rules
		}
	}
	if doc.Door != nil {
		c.DoorDiff = DiffDoors(stored.Door, *doc.Door)
		if len(c.DoorDiff) > 0 {
			c.Door = doc.Door
		}
	}
	return c
}

// IsEmpty reports whether the change writes nothing.
func (c Change) IsEmpty() bool { return c.Rules == nil && c.Door == nil }

// Apply stores the change, rules first, and returns the change as stored: the rules
// may begin later than planned, see Store.SetRules. If storing the door fails, the
// rules are stored; the next Plan of the same document holds only the door.
func (c Change) Apply(ctx context.Context, store Store) (Change, error) {
	if c.Rules != nil {
		// A rewrite begins at exactly Start.Since. Other rules begin once every
		// environment knows them.
		var err error
		if c.Start.Rewrite {
			err = store.PutRules(ctx, c.ID, Revision{Since: c.Start.Since, Settings: *c.Rules})
		} else {
			c.Start.Since, err = store.SetRules(ctx, c.ID, *c.Rules, c.Start.Since)
		}
		if err != nil {
			return c, err
		}
	}
	if c.Door != nil {
		return c, store.PutDoor(ctx, c.ID, *c.Door)
	}
	return c, nil
}
