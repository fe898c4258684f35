package audit

import (
	"context"
	"slices"

	"footfall/events"
	"footfall/shared/stage"
)

// Contacts tell what became of a contact.
type Contacts interface {
	Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (stage.ContactRecord, int64, error)
}

// forgotten leaves out the differences of contacts that were forgotten, and what
// they add to the figures: the topics tell of them until retention ends, the
// tables no more.
func (a *audit) forgotten(ctx context.Context, all Contacts) error {
	if all == nil {
		return nil
	}
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
	a.report.Differences = slices.DeleteFunc(a.report.Differences, func(d Difference) bool {
		left := gone[stage.CountKey{Business: d.Business, Contact: d.Contact}]
		if left && d.Kind == InTable {
			a.report.Expected -= int(d.Expected)
			a.report.Counted -= int(d.Found)
		}
		return left
	})
	return nil
}
