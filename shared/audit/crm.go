package audit

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// CRM holds the events of the CRM topics for the attribution of devices to contacts.
// A device is named by the record key "business/device", a contact by
// "business/contact".
type CRM struct {
	logins     map[string][]oracle.CRM // by device
	changes    map[string][]oracle.CRM // deletions and merges, by contact
	randomised map[string]bool         // devices
	histories  map[string][]oracle.CRM // results of history, by device
	// truncated is set if retention has dropped the beginning of a topic, and maybe
	// the only login of a device.
	truncated bool
}

// ReadCRM reads both CRM topics to their ends, and leaves out dead letters.
func ReadCRM(ctx context.Context, in Input) (*CRM, error) {
	c := &CRM{
		logins: map[string][]oracle.CRM{}, changes: map[string][]oracle.CRM{},
		randomised: map[string]bool{}, histories: map[string][]oracle.CRM{},
	}
	// The live topic comes second: of two events with the same time, the later in
	// this order wins.
	for _, topic := range []string{events.CRMEventsBackfill, events.CRMEvents} {
		ranges, err := kafka.ListOffsetRanges(ctx, in.Client, topic)
		if err != nil {
			return nil, err
		}
		for _, held := range ranges {
			c.truncated = c.truncated || held.From > 0
			if err := in.read(ctx, held, func(r *kgo.Record) error { return c.add(r, in.DeadLetters) }); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// add adds the event of one record of a CRM topic.
func (c *CRM) add(r *kgo.Record, dead *DeadLetters) error {
	if dead.has(r) {
		return nil
	}
	e, err := events.DecodeCRM(r.Key, r.Value)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		return nil // the record is a dead letter, or will be one
	}
	if err != nil {
		return err
	}

	// Keep a login by its device, and a deletion or a merge by its contact. Other
	// changes of a contact do not matter for the attribution.
	contact := func(id events.ContactID) string { return string(events.ContactKey(e.Business(), id)) }
	switch {
	case e.Login != nil:
		device := string(events.DeviceKey(e.Login.Business, e.Login.Device))
		c.logins[device] = append(c.logins[device], oracle.CRM{At: e.At(), Device: device, Contact: contact(e.Login.Contact)})
		if e.Login.Randomised {
			c.randomised[device] = true
		}
	case e.Deleted != nil:
		name := contact(e.Deleted.Contact)
		c.changes[name] = append(c.changes[name], oracle.CRM{At: e.At(), Contact: name})
	case e.Changed.MergedInto != "":
		name := contact(e.Changed.Contact)
		c.changes[name] = append(c.changes[name], oracle.CRM{At: e.At(), Contact: name, Into: contact(e.Changed.MergedInto)})
	}
	return nil
}

// Attribute returns the contact to which a walk-in of a device is attributed, or ""
// if the walk-in is unattributed. start is the start of the visit.
//
// certain is false in two cases: retention has dropped events before the walk-in,
// and the binding of a randomised address may have expired because the device was
// not seen for presence.BindingExpiry.
func (c *CRM) Attribute(device string, start time.Time) (contact string, certain bool) {
	all := c.history(device)
	contact, _ = oracle.AttributedContact(device, start, all)
	login := time.Time{} // the latest before the walk-in
	for _, e := range all {
		if e.Device == device && !e.At.After(start) {
			login = e.At
		}
	}
	switch {
	case login.IsZero():
		return contact, !c.truncated
	case c.randomised[device] && start.Sub(login) > presence.BindingExpiry:
		return contact, false
	default:
		return contact, true
	}
}

// history returns the events that matter for a device in the order of time: the
// logins of the device, and the deletions and merges of each contact in the result.
func (c *CRM) history(device string) []oracle.CRM {
	if all, ok := c.histories[device]; ok || len(c.logins[device]) == 0 {
		return all
	}
	// The loop appends to its own list, so it follows a chain of merges.
	all := slices.Clone(c.logins[device])
	seen := map[string]bool{}
	for i := 0; i < len(all); i++ {
		for _, contact := range []string{all[i].Contact, all[i].Into} {
			if contact != "" && !seen[contact] {
				seen[contact] = true
				all = append(all, c.changes[contact]...)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
	c.histories[device] = all
	return all
}
