//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// collect reads the result of a run back. start is the beginning of the town
// whose sightings and ticks were fed.
func collect(ctx context.Context, r *rig, kinds []poison, start time.Time) (*account, error) {
	c := &collector{ctx: ctx, r: r, kinds: kinds, start: start, account: newAccount()}
	for _, read := range []func() error{
		c.sightings, c.crmEvents, c.walkIns, c.ends, c.enrichedWalkIns, c.walkInCounts, c.deviceContacts, c.deadLetters,
		c.pendingTable, c.countsTable, c.visitLog,
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return c.account, nil
}

// collector fills an account from the topics and tables.
type collector struct {
	*account
	ctx   context.Context
	r     *rig
	kinds []poison
	start time.Time
}

// eachExceptPlanted calls do with the records of a topic, one partition after
// the other, and notes planted records instead.
func (c *collector) eachExceptPlanted(topic string, do func(*kgo.Record) error) error {
	return c.eachRecord(topic, func(k *kgo.Record) error {
		for _, h := range k.Headers {
			if h.Key == plantedHeader {
				return c.notePlanted(k, string(h.Value))
			}
		}
		if err := do(k); err != nil {
			return fmt.Errorf("%s/%d offset %d: %w", topic, k.Partition, k.Offset, err)
		}
		return nil
	})
}

// notePlanted notes a planted record with the reason and stage that its dead
// letter must name.
func (c *collector) notePlanted(k *kgo.Record, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	kind := c.kinds[n%len(c.kinds)]
	c.planted[place{k.Topic, k.Partition, k.Offset}] = badRecord{k.Key, k.Value, string(kind.reason), kind.stage}
	if k.Topic == events.Sightings {
		c.plantedSightings++
	}
	return nil
}

// eachRecord calls do with all records of a topic, one partition after the
// other.
func (c *collector) eachRecord(topic string, do func(*kgo.Record) error) error {
	starts, err := c.r.admin.ListStartOffsets(c.ctx, topic)
	if err = errors.Join(err, starts.Error()); err != nil {
		return err
	}
	ends, err := c.r.admin.ListEndOffsets(c.ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return err
	}
	for partition := range int32(len(ends[topic])) {
		from, to := starts[topic][partition].Offset, ends[topic][partition].Offset
		if err := c.eachOfPartition(topic, partition, from, to, do); err != nil {
			return err
		}
	}
	return nil
}

// eachOfPartition reads from one offset to another with a client of its own and
// no group: offsets committed by the pipeline's groups have no effect.
func (c *collector) eachOfPartition(topic string, partition int32, from, to int64, do func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.r.brokerAddr()), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		return err
	}
	defer client.Close()
	for next := from; next < to; {
		fetches := client.PollFetches(c.ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s/%d from %d: %w", topic, partition, next, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			k := it.Next()
			next = k.Offset + 1
			if err := do(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// sightings computes the visits of each partition from its records, in their
// order.
func (c *collector) sightings() error {
	partitions := map[int32]map[events.BusinessID]*businessInput{}
	var e events.SightingsRecord
	err := c.eachExceptPlanted(events.Sightings, func(k *kgo.Record) error {
		if err := events.DecodeSightings(k.Key, k.Value, &e); err != nil {
			return err
		}
		if e.IsTick && e.Tick.At.Before(c.start.Add(-time.Minute)) {
			return fmt.Errorf("a tick of %v is before the town, which begins at %v", e.Tick.At, c.start)
		}
		// Each partition has its own watermark and its own state of each
		// business.
		shops := partitions[k.Partition]
		if shops == nil {
			shops = newBusinessInputs(c.r.rules)
			partitions[k.Partition] = shops
		}
		if e.IsTick {
			for _, s := range shops {
				s.tick(presence.InstantOf(e.Tick.At))
			}
			return nil
		}
		c.heard++
		s := shops[e.Sighting.Business]
		if stage.Excluded(s.currentRules(), &e.Sighting) {
			c.excluded++
			return nil
		}
		s.add(oracle.Record{Device: string(k.Key), Sighting: stage.PresenceSighting(&e.Sighting)})
		return nil
	})
	for _, shops := range partitions {
		for _, s := range shops {
			c.expectVisits(s)
		}
	}
	return err
}

// crmEvents notes the CRM events, in no order: events of the backfill are older
// than live ones, and eventsFor sorts by time.
func (c *collector) crmEvents() error {
	for _, topic := range []string{events.CRMEvents, events.CRMEventsBackfill} {
		err := c.eachExceptPlanted(topic, func(k *kgo.Record) error {
			e, err := events.DecodeCRM(k.Key, k.Value)
			if err != nil {
				return err
			}
			name := func(id events.ContactID) string { return string(events.ContactKey(e.Business(), id)) }
			business := string(e.Business())
			switch {
			case e.Login != nil:
				device := string(events.DeviceKey(e.Login.Business, e.Login.Device))
				c.crm.logins[device] = append(c.crm.logins[device], oracle.CRM{At: e.At(), Device: device, Contact: name(e.Login.Contact)})
			case e.Deleted != nil:
				c.crm.contacts[business] = append(c.crm.contacts[business], oracle.CRM{At: e.At(), Contact: name(e.Deleted.Contact)})
			case e.Changed.MergedInto != "":
				c.crm.contacts[business] = append(c.crm.contacts[business], oracle.CRM{At: e.At(), Contact: name(e.Changed.Contact), Into: name(e.Changed.MergedInto)})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// walkIns notes the walk-ins. A walk-in may be on the topic twice, but the
// fields that its id is derived from must not differ.
func (c *collector) walkIns() error {
	return c.eachExceptPlanted(events.WalkIns, func(k *kgo.Record) error {
		w, err := events.DecodeWalkIn(k.Key, k.Value)
		if former, ok := c.account.walkIns[w.ID]; ok && (former.Business != w.Business || former.Device != w.Device || !former.StartedAt.Equal(w.StartedAt)) {
			c.contradictions = append(c.contradictions, fmt.Sprintf("walk-in %s was produced as %+v and as %+v", w.ID, former, w))
		}
		c.account.walkIns[w.ID] = w
		return err
	})
}

// ends notes the latest end of each visit: a visit that a late sighting
// prolongs ends again. Of a visit of a resident device there is only the end.
func (c *collector) ends() error {
	return c.eachExceptPlanted(events.VisitsEnded, func(k *kgo.Record) error {
		v, err := events.DecodeVisitEnded(k.Key, k.Value)
		if v.Resident {
			c.residentEnds[v.ID] = string(k.Key)
			return err
		}
		if former, ok := c.ended[v.ID]; !ok || v.LastSeenAt.After(former.LastSeenAt) {
			c.ended[v.ID] = v
		}
		return err
	})
}

// enrichedWalkIns notes the contact of each enriched walk-in. A walk-in may be
// on the topic twice, but always with the same contact.
func (c *collector) enrichedWalkIns() error {
	return c.eachExceptPlanted(events.EnrichedWalkIns, func(k *kgo.Record) error {
		e, err := events.DecodeEnrichedWalkIn(k.Key, k.Value)
		key := contact(events.ContactKey(e.Business, e.Contact))
		if former, ok := c.enriched[e.ID]; ok && former != key {
			c.contradictions = append(c.contradictions, fmt.Sprintf("walk-in %s was produced as attributed to %q and to %q", e.ID, former, key))
		}
		c.enriched[e.ID] = key
		if end := e.StartedAt.Add(time.Duration(e.DwellMillis) * time.Millisecond); e.Ended && end.After(c.enrichedEnds[e.ID]) {
			c.enrichedEnds[e.ID] = end
		}
		return err
	})
}

// walkInCounts notes the record with the highest version of each contact, as
// sinks do, and the last record, as compaction does. The records of a contact
// are in one partition and read in their order.
func (c *collector) walkInCounts() error {
	return c.eachExceptPlanted(events.WalkInCounts, func(k *kgo.Record) error {
		n, err := events.DecodeWalkInCount(k.Key, k.Value)
		key := contact(events.ContactKey(n.Business, n.Contact))
		c.last[key] = n
		if former, ok := c.counts[key]; !ok || n.Version > former.Version {
			c.counts[key] = n
		}
		return err
	})
}

// deviceContacts notes the last record of each device, as compaction does.
func (c *collector) deviceContacts() error {
	return c.eachExceptPlanted(events.DeviceContacts, func(k *kgo.Record) error {
		if k.Value == nil {
			c.deviceContact[string(k.Key)] = ""
			return nil
		}
		d, err := events.DecodeDeviceContact(k.Key, k.Value)
		c.deviceContact[string(k.Key)] = contact(events.ContactKey(d.Business, d.Contact))
		return err
	})
}

// deadLetters notes the dead letters by their origin: a record of a redelivered
// batch may be among them twice.
func (c *collector) deadLetters() error {
	for _, t := range events.Topics() {
		if t.DeadLetters == "" {
			continue
		}
		err := c.eachRecord(t.DeadLetters, func(k *kgo.Record) error {
			c.deadLetterCount++
			h := map[string]string{}
			for _, header := range k.Headers {
				h[header.Key] = string(header.Value)
			}
			partition, err := strconv.ParseInt(h[stage.HeaderPartition], 10, 32)
			if err != nil {
				return fmt.Errorf("%s: %w", t.DeadLetters, err)
			}
			offset, err := strconv.ParseInt(h[stage.HeaderOffset], 10, 64)
			c.deadLetter[place{h[stage.HeaderTopic], int32(partition), offset}] = badRecord{k.Key, k.Value, h[stage.HeaderReason], h[stage.HeaderStage]}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scan calls each with the items of a table.
func (c *collector) scan(table string, each func(map[string]types.AttributeValue) error) error {
	pages := dynamodb.NewScanPaginator(c.r.tableClient(), &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return fmt.Errorf("scan %s: %w", table, err)
		}
		for _, item := range page.Items {
			if err := each(item); err != nil {
				return fmt.Errorf("table %s: %w: %v", table, err, item)
			}
		}
	}
	return nil
}

// text returns a string attribute, or "" if there is none.
func text(v types.AttributeValue) string {
	s, _ := v.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// pendingTable notes the contact of each item of the table pending: pk
// "business/device", sk "start#id", and c, the contact.
func (c *collector) pendingTable() error {
	return c.scan(pipeline.PendingTable, func(item map[string]types.AttributeValue) error {
		business, _, _ := strings.Cut(text(item["pk"]), "/")
		_, id, ok := strings.Cut(text(item["sk"]), "#")
		if !ok {
			return errors.New("sk has no walk-in id")
		}
		attributed := contact("")
		if name := text(item["c"]); name != "" {
			attributed = contact(business + "/" + name)
		}
		if _, twice := c.pending[events.WalkInID(id)]; twice {
			return errors.New("a second item of the same walk-in")
		}
		c.pending[events.WalkInID(id)] = attributed
		return nil
	})
}

// countsTable notes the buckets that each visit is counted in, from the facts
// that visits began, and the totals.
func (c *collector) countsTable() error {
	counts := dynamo.NewCounts(c.r.tableClient(), "")
	return counts.Each(c.ctx, func(key stage.CountKey, parts []stage.MonthCount) error {
		for _, p := range parts {
			b := bucket{contact(events.ContactKey(key.Business, key.Contact)), p.Month}
			c.totals[b] = p.Total
			for _, f := range p.Facts {
				if id := events.WalkInID(f.Visit); f.Start != 0 {
					c.counted[id] = append(c.counted[id], b)
				}
			}
		}
		return nil
	})
}

// visitLog adds up the tallies of the changelog.
func (c *collector) visitLog() error {
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{c.r.brokerAddr()}})
	if err != nil {
		return err
	}
	defer client.Close()
	info, err := kafka.NewTopicInfos(client).Info(c.ctx, events.Sightings, 0)
	if err != nil {
		return err
	}
	t, err := detect.SumTallies(c.ctx, dynamo.NewVisitLog(c.r.tableClient(), ""), info)
	c.tally = tally{t.Sightings, t.Late, t.WalkIns, t.Dead, t.Residents, t.Excluded}
	return err
}
