package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/dynamo"
	"footfall/shared/forget"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// forgetCmd removes the data of a contact or a device, for an erasure request.
type forgetCmd struct {
	clusterFlags
	tableFlags
	deploymentFlags
	keysFlag
	Business events.BusinessID `required:"" placeholder:"ID" help:"The business."`
	Contact  events.ContactID  `placeholder:"ID" help:"The contact, with all contacts that were merged into it."`
	Device   []events.DeviceID `placeholder:"ID" help:"The device with this pseudonym, whichever contact it is bound to; may be repeated."`
	Mac      []string          `placeholder:"ADDRESS" help:"The device with this MAC address."`
	Wait     time.Duration     `default:"1m" placeholder:"SPAN" help:"How long to wait until the stages have processed their lag [1m]."`
	Yes      bool              `help:"Remove the data. Without this flag, forget only lists the data that it would remove."`
	JSON     bool              `help:"Print the report as JSON, one line for each contact or device."`
}

// Help returns the help text: the data that is removed, the data that stays, and the
// steps before and after.
func (c *forgetCmd) Help() string {
	return `Removes a contact, or a device, from the tables and the compacted topics, and lists the data that it removed and the
data that stays for now, with the day of its removal. docs/privacy.md describes all data that is kept.

A contact: its part of the histories of all its devices, its walk-ins, its counts, its list of devices; the same for
contacts that were merged into it. Other contacts with the same devices keep their part. Delete the contact in the CRM
first, or the next login brings it back as a new contact.

A device: its history, its walk-ins, its place on the lists of contacts. Counts of contacts stay. Put the device on the
business's opt-out list first, or its next visit is recorded again.

--mac selects the device's pseudonyms under every key of the file. The pseudonyms of single days, which a randomised
address has while it is not associated, are not searched: they are never attributed, and expire with the records of the
topics, and in the tables after 100 days.

forget runs beside the stages and can be repeated at any time; if it is interrupted, the next run finishes the work. Run
it twice: the second run finds nothing.

Exit status: 0 removed, or nothing was found, 1 it failed or the stages lag too far behind, 2 the command line is invalid.`
}

// Validate returns an error unless the flags name one contact or at least one
// device.
func (c *forgetCmd) Validate() error {
	if (c.Contact == "") == (len(c.Device)+len(c.Mac) == 0) {
		return errors.New("give one of --contact and --device or --mac")
	}
	if (len(c.Mac) == 0) != (c.PseudonymKeys == "") {
		return errors.New("--mac needs --pseudonym-keys, and the other way round")
	}
	if c.Wait < 0 {
		return fmt.Errorf("--wait %s is negative", c.Wait)
	}
	return nil
}

// Run forgets the contact or the devices in sequence, and prints a report of each.
func (c *forgetCmd) Run(ctx context.Context, s streams) error {
	found, err := c.pseudonyms()
	if err != nil {
		return err
	}
	client, err := c.client(ctx, kafka.ReadOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	// Ping the brokers before the first write to a table: if they cannot be reached
	// after the contact is marked in the table, the topics still hold it, and the
	// contact is only half forgotten.
	if c.Yes {
		if err := client.Ping(ctx); err != nil {
			return fmt.Errorf("nothing was removed: brokers %s: %w", strings.Join(c.Brokers, ","), err)
		}
	}
	tables, err := c.tables(ctx)
	if err != nil {
		return err
	}
	deps := forget.Deps{
		Identities: dynamo.NewIdentities(tables, c.TablePrefix),
		Pending:    dynamo.NewPending(tables, c.TablePrefix),
		Counts:     dynamo.NewCounts(tables, c.TablePrefix),
		Out:        kafka.NewProducer(client),
		Settle:     func(ctx context.Context) (bool, error) { return c.settle(ctx, client) },
	}
	// One contact, or each device under each of its pseudonyms.
	now := time.Now().UTC().Truncate(time.Millisecond)
	if c.Contact != "" {
		r, err := forget.Contact(ctx, deps, stage.CountKey{Business: c.Business, Contact: c.Contact}, now, c.Yes)
		return c.finish(s, r, now, err)
	}
	for _, d := range slices.Concat(c.Device, found) {
		r, err := forget.Device(ctx, deps, stage.IdentityKey{Business: c.Business, Device: d}, now, c.Yes)
		if err := c.finish(s, r, now, err); err != nil {
			return err
		}
	}
	return nil
}

// finish prints a report and returns the error with which the run ends.
func (c *forgetCmd) finish(s streams, r *forget.Report, now time.Time, err error) error {
	if err != nil {
		return err
	}
	// A MAC address given as a pseudonym finds nothing, although the device may have
	// data under its pseudonym.
	if _, isMAC := parseMAC(string(r.Device)); isMAC && !r.Found() {
		return errors.New("--device takes the pseudonym of a device, and nothing is known of this MAC address: " +
			"give it to --mac, with --pseudonym-keys, which finds its pseudonyms")
	}
	if err := c.print(s.out, r, now); err != nil {
		return err
	}
	if r.Unsettled {
		return fmt.Errorf("the stages did not catch up within %s: run forget again when their lag is 0", c.Wait)
	}
	return nil
}

// pseudonyms returns the pseudonyms of the MAC addresses.
func (c *forgetCmd) pseudonyms() ([]events.DeviceID, error) {
	if len(c.Mac) == 0 {
		return nil, nil
	}
	keys, err := c.keys()
	if err != nil {
		return nil, err
	}
	// A device has a pseudonym under each key of the file.
	var found []events.DeviceID
	for _, text := range c.Mac {
		mac, ok := parseMAC(text)
		if !ok {
			return nil, fmt.Errorf("--mac: %w", errNotMAC)
		}
		devices, err := devicePseudonyms(keys, c.Business, mac)
		if err != nil {
			return nil, err
		}
		found = append(found, devices...)
	}
	return found, nil
}

// settle waits until the stages have processed their present lag: first the stages
// that attribute walk-ins, then the stage that counts the attributed walk-ins. It
// reports whether the stages caught up within --wait.
func (c *forgetCmd) settle(ctx context.Context, client *kgo.Client) (bool, error) {
	deadline := time.Now().Add(c.Wait)
	for _, names := range [][]string{{pipeline.Identify, pipeline.Enrich}, {pipeline.Count}} {
		// The offsets of every topic that these stages read.
		var left []kafka.GroupOffset
		for _, name := range names {
			spec, _ := pipeline.Default().Stage(name)
			for _, m := range spec.Reads {
				offsets, err := c.offsets(ctx, client, name, m.Topic)
				if err != nil {
					return false, err
				}
				left = append(left, offsets...)
			}
		}
		settled, err := caughtUp(ctx, client, left, deadline)
		if !settled || err != nil {
			return false, err
		}
	}
	return true, nil
}

// settlePoll is the interval at which the groups' offsets are read.
const settlePoll = 500 * time.Millisecond

// caughtUp waits until each group has committed the end of its partition as of the
// first call, and reports whether all did before the deadline.
func caughtUp(ctx context.Context, client *kgo.Client, left []kafka.GroupOffset, deadline time.Time) (bool, error) {
	for {
		left = slices.DeleteFunc(left, func(o kafka.GroupOffset) bool { return o.Lag() == 0 })
		if len(left) == 0 {
			return true, nil
		}
		if !time.Now().Before(deadline) {
			return false, nil
		}
		if err := waitUntil(ctx, time.Now().Add(settlePoll)); err != nil {
			return false, err
		}
		// Read the committed offsets again. The end of the first reading stays: records
		// that arrived since are not waited for.
		for i, o := range left {
			now, err := kafka.GroupOffsets(ctx, client, o.Group, o.Topic)
			if err != nil {
				return false, err
			}
			for _, n := range now {
				if n.Partition == o.Partition {
					left[i].Committed, left[i].From = n.Committed, n.From
				}
			}
		}
	}
}
