package audit

import (
	"context"
	"slices"

	"footfall/events"
	"footfall/shared/stage"
)

// Contacts returns the record of a contact in table identities.
type Contacts interface {
	Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (stage.ContactRecord, int64, error)
}

// leaveOutForgotten removes the differences of forgotten contacts, and their part of
// the figures. The tables hold nothing of a forgotten contact, while the topics hold
// the records until retention ends, so such a difference is no error.
func (a *audit) leaveOutForgotten(ctx context.Context, all Contacts) error {
	if all == nil {
		return nil
	}
	// Look up each contact with a difference once.
	gone := map[stage.CountKey]bool{}
	for _, d := range a.report.Differences {
		key := stage.CountKey{Business: d.Business, Contact: d.Contact}
		if _, asked := gone[key]; asked {
			continue
		}
		r, _, err := all.Contact(ctx, key.Business, key.Contact)
		if err != nil {
			return err
		}
		if gone[key] = !r.ForgottenAt.IsZero(); gone[key] {
			a.report.Forgotten++
			a.report.Contacts--
		}
	}

	// Remove the differences. A difference of the table is part of the figures too.
	a.report.Differences = slices.DeleteFunc(a.report.Differences, func(d Difference) bool {
		forgotten := gone[stage.CountKey{Business: d.Business, Contact: d.Contact}]
		if forgotten && d.Kind == InTable {
			a.report.Expected -= int(d.Expected)
			a.report.Counted -= int(d.Found)
		}
		return forgotten
	})
	return nil
}
