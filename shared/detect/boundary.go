package detect

import (
	"context"
	"fmt"
	"slices"

	"footfall/events"
	"footfall/shared/presence"
)

// crossBoundaries takes the watermark over the rule boundaries up to now, the
// time of a tick. At each, a tick of that moment is applied to the devices of
// the business, by the rules that end there. Say that the session gap of cafe-1
// is 30 minutes, and 12 hours from 12:50 on:
//
//  1. A phone is heard at 12:07 for the last time. Item 41 covers offset 900 and
//     has the watermark 12:10. After an outage, the tick at offset 901 carries
//     13:00.
//  2. The rule boundary of 12:50 lies in between. By the rules until then, the
//     visit is over since 12:40, so it ends. Item 42 is appended, with the
//     watermark 12:50 and still offset 900.
//  3. The tick of 13:00 is applied by the new rules. Item 43 covers offset 901.
//
// Without the second step the visit would last another twelve hours, or not,
// depending on whether a tick came between 12:40 and 12:50.
//
// Each boundary ends an item of the changelog. In one item with the tick, parts
// of both could be written ahead, see flush. Say that until 12:40 cafe-1 needs
// two strong steps and has a session gap of 15 minutes; from then on one step
// is enough, and the session gap is 12 hours. The allowed lateness is 1 hour:
//
//  1. Item 41 has the watermark 12:00. Thousands of phones are heard once, at
//     12:01. The tick at offset 5000 carries 12:41.
//  2. At the boundary nothing changes. By the new rules, the tick confirms all
//     candidates. Item 42, of three, would hold some of the visits under the
//     watermark 12:00. The environment dies.
//  3. The redelivered tick crosses 12:40 again, now with those visits. By the
//     rules before they are over since 12:18 and would end.
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
		// Other rules have other due times, so nextDue is not known any more.
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

// crossBeforeFirstTick takes a partition over the rule boundaries before its
// first tick. The sightings so far were decided by the rules at the timestamps
// of their records, so a boundary ends no visit and confirms none. It only
// forgets, as a reader of the changelog does. Say that cafe-1 has a candidate gap
// and an allowed lateness of 4 minutes until 11:30, and of 30 minutes and
// 1 hour from then on:
//
//  1. A phone is heard at 11:05, in a record with timestamp 12:00. By the rules
//     of 12:00 it is a candidate. Item 0 holds the candidate, with watermark 0.
//  2. The first tick carries 12:00. By the rules before 11:30 the candidate is
//     forgotten since 11:16, so it is forgotten here. A cold environment that
//     reads item 0 after the tick does the same, see settle.
//  3. A late sighting of 11:34 opens a new candidate in either environment. By
//     the rules from 11:30 on it would have confirmed the first one.
//
// The boundary is appended as an item of its own. Say that the session gap of
// cafe-1 is 15 minutes until 11:30, and 110 minutes with an allowed lateness of
// 1 hour from then on:
//
//  1. Thousands of associated phones are heard at 10:00. Their visits are open
//     when the first tick comes, with 12:00. A boundary does not forget an open
//     visit. The tick ends the visits, by the new rules.
//  2. If the parts of the tick were written ahead under watermark 0, the
//     environment might die after the first part.
//  3. The redelivered tick would cross the boundary again, now with visits that
//     have ended: by the rules before 11:30 those are forgotten since 10:33. A
//     late sighting of 11:40, which belongs to the visit, would begin another.
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
