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
	logins    map[string][]crmEvent // by device
	changes   map[string][]crmEvent // deletions and merges, by contact
	histories map[string][]crmEvent // results of history, by device
	read      int                   // events read so far
	// truncated is set if retention has dropped the beginning of a topic, and maybe
	// the only login of a device.
	truncated bool
}

// crmEvent is an event with its place among all events read: the stage has processed
// the events of one topic and business in this order.
type crmEvent struct {
	oracle.CRM
	live  bool // on crm-events, not on crm-events-backfill
	place int
}

// ReadCRM reads both CRM topics to their ends, and leaves out dead letters.
func ReadCRM(ctx context.Context, in Input) (*CRM, error) {
	c := &CRM{logins: map[string][]crmEvent{}, changes: map[string][]crmEvent{}, histories: map[string][]crmEvent{}}
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
	event := func(o oracle.CRM) crmEvent {
		c.read++
		o.At = e.At()
		return crmEvent{o, r.Topic == events.CRMEvents, c.read}
	}
	contact := func(id events.ContactID) string { return string(events.ContactKey(e.Business(), id)) }
	switch {
	case e.Login != nil:
		device := string(events.DeviceKey(e.Login.Business, e.Login.Device))
		c.logins[device] = append(c.logins[device], event(oracle.CRM{
			Device: device, Randomised: e.Login.Randomised, Contact: contact(e.Login.Contact),
		}))
	case e.Deleted != nil:
		name := contact(e.Deleted.Contact)
		c.changes[name] = append(c.changes[name], event(oracle.CRM{Contact: name}))
	case e.Changed.MergedInto != "":
		name := contact(e.Changed.Contact)
		c.changes[name] = append(c.changes[name], event(oracle.CRM{Contact: name, Into: contact(e.Changed.MergedInto)}))
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
	contact, _ = oracle.AttributedContact(device, start, known(all, always))
	login, randomised := time.Time{}, false // the latest login before the walk-in
	for _, e := range all {
		if e.Device == device && !e.At.After(start) {
			login = e.At
		}
		randomised = randomised || e.Device == device && e.Randomised
	}
	switch {
	case login.IsZero():
		return contact, !c.truncated
	case randomised && start.Sub(login) > presence.BindingExpiry:
		return contact, false
	default:
		return contact, true
	}
}

// Attributions returns the contacts to which all walk-ins of a device are attributed,
// "" for an unattributed walk-in. starts are the starts of the visits, in ascending
// order: a walk-in renews the binding of a randomised address.
func (c *CRM) Attributions(device string, starts []time.Time) []string {
	contacts := make([]string, len(starts))
	for i, a := range oracle.Attributions(device, starts, known(c.history(device), always)) {
		contacts[i] = a.Contact
	}
	return contacts
}

// backfillAge is how long after its time an event of crm-events has arrived at the
// latest. Older events come by crm-events-backfill.
const backfillAge = time.Hour

// Explains reports whether the walk-in that began at starts[i] may be attributed to a
// contact that not all events together call for. An attribution is decided on the
// events known at that time and never changed, so an event that arrives later, as
// most of the backfill do, does not move the walk-in. contact must be the right one
// for some first part of each topic. Events of crm-events from an hour before the
// visit or earlier have arrived by then.
//
// "" is never explained: a walk-in that the events give to a contact is attributed as
// soon as they arrive.
func (c *CRM) Explains(device string, starts []time.Time, i int, contact string) bool {
	if contact == "" {
		return false
	}
	all := c.history(device)
	places := []int{0}
	for _, e := range all {
		places = append(places, e.place)
	}
	for _, live := range places {
		for _, backfill := range places {
			events := known(all, func(e *crmEvent) bool {
				if e.live {
					return e.place <= live || !e.At.After(starts[i].Add(-backfillAge))
				}
				return e.place <= backfill
			})
			if oracle.Attributions(device, starts, events)[i].Contact == contact {
				return true
			}
		}
	}
	return false
}

// always reports that every event is known.
func always(*crmEvent) bool { return true }

// known returns the events for which isKnown returns true.
func known(all []crmEvent, isKnown func(*crmEvent) bool) []oracle.CRM {
	var some []oracle.CRM
	for i := range all {
		if isKnown(&all[i]) {
			some = append(some, all[i].CRM)
		}
	}
	return some
}

// history returns the events that matter for a device in the order of time: the
// logins of the device, and the deletions and merges of each contact in the result.
func (c *CRM) history(device string) []crmEvent {
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
	slices.SortStableFunc(all, func(a, b crmEvent) int { return a.At.Compare(b.At) })
	c.histories[device] = all
	return all
}
