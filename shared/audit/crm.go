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

// CRM tells whose a device was, from the CRM topics. Devices and contacts are
// named by their record keys, "business/device" and "business/contact".
type CRM struct {
	logins     map[string][]oracle.CRM // by device
	fates      map[string][]oracle.CRM // deletions and merges, by contact
	randomised map[string]bool         // devices
	byDevice   map[string][]oracle.CRM // what matters for a device, once asked for
	// cut says that retention has dropped the beginning of a topic, so that a
	// device without a login may have had one.
	cut bool
}

// ReadCRM reads both CRM topics to their ends, without what is among their dead
// letters.
func ReadCRM(ctx context.Context, in Input) (*CRM, error) {
	c := &CRM{
		logins: map[string][]oracle.CRM{}, fates: map[string][]oracle.CRM{},
		randomised: map[string]bool{}, byDevice: map[string][]oracle.CRM{},
	}
	// At the same moment what was told live wins.
	for _, topic := range []string{events.CRMEventsBackfill, events.CRMEvents} {
		spans, err := kafka.ListOffsetRanges(ctx, in.Client, topic)
		if err != nil {
			return nil, err
		}
		for _, s := range spans {
			c.cut = c.cut || s.From > 0
			if err := in.read(ctx, s, func(r *kgo.Record) error { return c.add(r, in.DeadLetters) }); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *CRM) add(r *kgo.Record, dead *DeadLetters) error {
	if dead.has(r) {
		return nil
	}
	e, err := events.DecodeCRM(r.Key, r.Value)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		return nil // it is a dead letter, or will be
	}
	if err != nil {
		return err
	}
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
		c.fates[name] = append(c.fates[name], oracle.CRM{At: e.At(), Contact: name})
	case e.Changed.MergedInto != "":
		name := contact(e.Changed.Contact)
		c.fates[name] = append(c.fates[name], oracle.CRM{At: e.At(), Contact: name, Into: contact(e.Changed.MergedInto)})
	}
	return nil
}

// Attribute gives the contact that a walk-in of a device at start is to be
// attributed to, "" for none. sure is false where the topics do not tell: where
// retention has dropped what came before, and where a binding may have expired
// because its device was not seen.
func (c *CRM) Attribute(device string, start time.Time) (contact string, sure bool) {
	all := c.of(device)
	contact, _ = oracle.AttributedContact(device, start, all)
	login := time.Time{} // the latest before the walk-in
	for _, e := range all {
		if e.Device == device && !e.At.After(start) {
			login = e.At
		}
	}
	switch {
	case login.IsZero():
		return contact, !c.cut
	case c.randomised[device] && start.Sub(login) > presence.BindingExpiry:
		return contact, false
	default:
		return contact, true
	}
}

// of gives, in the order of time, what matters for a device: its logins and what
// became of those contacts, and of those that they were merged into.
func (c *CRM) of(device string) []oracle.CRM {
	if all, ok := c.byDevice[device]; ok || len(c.logins[device]) == 0 {
		return all
	}
	all := slices.Clone(c.logins[device])
	seen := map[string]bool{}
	for i := 0; i < len(all); i++ {
		for _, contact := range []string{all[i].Contact, all[i].Into} {
			if contact != "" && !seen[contact] {
				seen[contact] = true
				all = append(all, c.fates[contact]...)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
	c.byDevice[device] = all
	return all
}
