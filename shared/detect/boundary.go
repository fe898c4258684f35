package detect

import (
	"context"
	"fmt"
	"slices"

	"footfall/events"
	"footfall/shared/presence"
)

// crossBoundaries takes the watermark over the rule boundaries up to now, the time
// of a tick. A rule boundary is a moment from which on other rules of a business
// hold. At each boundary a tick of that moment is applied to the devices of the
// business, by the rules that end there. Suppose that the session gap of cafe-1
// is 30 minutes until 12:50 and 12 hours from then on:
//
//  1. A phone is heard at 12:07 for the last time. Item 41 covers offset 900 and
//     has the watermark 12:10. After an outage, the tick at offset 901 carries
//     13:00.
//  2. The rule boundary of 12:50 lies in between. By the rules until 12:50 the
//     visit is over since 12:40, so the visit ends. Item 42 is appended, with the
//     watermark 12:50 and still offset 900.
//  3. The tick of 13:00 is applied by the new rules. Item 43 covers offset 901.
//
// Without step 2, the visit would end if a tick came between 12:40 and 12:50, and
// otherwise go on for twelve hours.
//
// Each boundary ends an item of the changelog. If the changes of the boundary and
// of the tick were flushed together, parts of both could be written ahead, see
// flush. Suppose that until 12:40 cafe-1 needs two strong steps and has a session
// gap of 15 minutes, and that from then on one step is enough and the session gap
// is 12 hours. The allowed lateness is 1 hour:
//
//  1. Item 41 has the watermark 12:00. Thousands of phones are heard once, at
//     12:01. The next tick carries 12:41.
//  2. At the boundary nothing changes. By the new rules, the tick confirms all
//     candidates. The first of three items would hold some of the visits under the
//     watermark 12:00. The environment dies.
//  3. The redelivered tick crosses 12:40 again. By the rules before 12:40, the
//     visits in that item are over since 12:18 and would end.
func (d *decider) crossBoundaries(ctx context.Context, now presence.Instant) error {
	boundaries := d.view.rules.boundaries(d.view.watermark, now)
	if d.view.watermark == 0 {
		return d.crossBeforeFirstTick(ctx, boundaries)
	}
	for _, since := range boundaries {
		keys, err := d.devicesWithNewRulesAt(since)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			continue
		}
		if err := d.makeRoom(ctx, keys); err != nil {
			return err
		}
		// By the rules that begin here, devices may be due at other times.
		d.view.watermark, d.partition.nextDue = since, 0
		for _, key := range keys {
			if err := d.tickDevice(key, since, since-1); err != nil {
				return err
			}
		}
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// crossBeforeFirstTick takes a partition over the rule boundaries before its first
// tick. The sightings so far were decided by the rules at the timestamps of their
// records, so a boundary ends no visit and confirms no candidate. It only forgets,
// as a reader of the changelog does. Suppose that cafe-1 has a candidate gap of 4
// minutes and an allowed lateness of 4 minutes until 11:30, and of 30 minutes and
// 1 hour from then on:
//
//  1. A phone is heard at 11:05, in a record with the timestamp 12:00. By the rules
//     of 12:00 a candidate opens. Item 0 holds the candidate, with the watermark 0.
//  2. The first tick carries 12:00. By the rules before 11:30 the candidate is
//     forgotten at 11:16, so it is forgotten at the boundary. If a cold environment
//     reads item 0 after the tick, it forgets the candidate too, see settle.
//  3. A late sighting of 11:34 opens a new candidate in either environment. If the
//     first candidate were remembered, the sighting would confirm it.
//
// The last of these boundaries ends an item, before the tick. Suppose that the
// session gap of cafe-1 is 15 minutes until 11:30, and that from then on the
// session gap is 110 minutes and the allowed lateness is 1 hour:
//
//  1. Thousands of associated phones are heard at 10:00. All visits are open when
//     the first tick comes, which carries 12:00. The boundary does not forget an
//     open visit. The tick ends the visits by the new rules, and remembers them.
//  2. Without an item in between, parts of the tick would be written ahead with the
//     watermark 0. The environment dies after the first part.
//  3. The redelivered tick crosses the boundary again. By the rules before 11:30, a
//     visit of 10:00 that has ended is forgotten at 10:33. So the visits of the
//     first part would be forgotten, and a late sighting of 11:40, which belongs
//     to the visit, would begin another visit.
func (d *decider) crossBeforeFirstTick(ctx context.Context, boundaries []presence.Instant) error {
	crossed := presence.Instant(0)
	for _, since := range boundaries {
		keys, err := d.devicesWithNewRulesAt(since)
		if err != nil {
			return err
		}
		for _, key := range keys {
			business, _, _ := events.SplitDeviceKey(key)
			rules, err := d.view.rules.loaded(business, since-1)
			if err != nil {
				return fmt.Errorf("device %q at the rule boundary of %v: %w", key, since.Time(), err)
			}
			d.view.devices[key].Forget(since, rules)
		}
		if len(keys) > 0 {
			crossed = since
		}
	}
	if crossed == 0 {
		return nil
	}
	d.view.watermark, d.partition.nextDue = crossed, 0
	return d.flush(ctx)
}

// devicesWithNewRulesAt returns the keys of the devices whose business has other
// rules from the moment since on, sorted.
func (d *decider) devicesWithNewRulesAt(since presence.Instant) (keys []string, err error) {
	for key := range d.view.devices {
		business, _, _ := events.SplitDeviceKey(key)
		changes, err := d.view.rules.changesAt(business, since)
		if err != nil {
			return nil, fmt.Errorf("device %q at the rule boundary of %v: %w", key, since.Time(), err)
		}
		if changes {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
