package business

import (
	"context"
	"time"

	"footfall/events"
)

// Store is what Change.Apply writes to. dynamo.Businesses is one.
type Store interface {
	// SetRules MUST store settings that hold from the moment from on, or from a
	// later moment if not every environment would know them by then. It MUST
	// return the moment from which on they hold.
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
	// Rewrite lets Since lie in the past. Decisions that were emitted since then
	// stay as they are, but a replay or an audit decides by the new rules.
	Rewrite bool
}

// ImportStart returns the start of rules that are imported before a pipeline
// starts. Nothing was decided yet of a business of which nothing is stored, so
// its rules have always held. The rules of another business begin at Soonest.
func (s Stored) ImportStart(now time.Time) Start {
	if s.Revisions == nil && s.Door == nil {
		return Start{Rewrite: true}
	}
	return Start{Since: Soonest(now)}
}

// Change is what storing a document changes of one business. Plan makes it and
// Apply stores it.
type Change struct {
	ID events.BusinessID

	// Rules are the settings to write, nil if none are written.
	Rules *Settings
	// Start is the moment from which on Rules hold.
	Start Start
	// RulesDiff is how Rules differ from the settings that are in force at
	// Start.Since. It is empty if they are the same and are only written to drop
	// later revisions.
	RulesDiff []Difference
	// Dropped are the stored revisions that were to begin after Start.Since.
	// Writing Rules drops them.
	Dropped []Revision

	// Door is the door to write, nil if none is written.
	Door *Door
	// DoorDiff is how Door differs from the stored one.
	DoorDiff []Difference
}

// Plan returns the change that stores doc for a business of which stored is
// stored. Rules are written if they differ from those in force at start.Since,
// or if later revisions are to be dropped; a door is written if it differs. Plan
// does no I/O and checks nothing: doc has passed Document.Validate, which
// ReadDocument calls.
func Plan(id events.BusinessID, stored Stored, doc Document, start Start) Change {
	c := Change{ID: id, Start: start}
	if doc.Rules != nil {
		var former *Settings
		if r, ok := stored.Revisions.At(start.Since); ok {
			former = &r.Settings
		}
		c.RulesDiff = DiffSettings(former, *doc.Rules)
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

// Apply stores the change, rules first, and returns it as it was stored: its
// rules may begin later than planned; see Store.SetRules. If the door fails the
// rules are stored; a change that is planned anew then holds the door alone.
func (c Change) Apply(ctx context.Context, store Store) (Change, error) {
	if c.Rules != nil {
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
