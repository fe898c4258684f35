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
	"footfall/shared/stage"
)

// recount is the state of one Recount.
type recount struct {
	in       Input
	longest  presence.Rules // longestRules of in
	from, to time.Time
	each     func(Visit)

	middle      bool // the reading began in the middle of the topic
	byTimestamp bool // the beginning was found by timestamps, and may be wrong
	watermark   presence.Instant
	firstTick   presence.Instant // the first watermark, if middle
	sweptAt     presence.Instant // the watermark of the last sweep
	devices     map[string]*heard
	past        map[string]oracle.Past // earlier days of devices with long visits
	event       events.SightingsRecord
}

// heard holds the sightings of a device since its last quiet period.
type heard struct {
	records  []oracle.Record  // sightings, and a tick whenever the watermark has moved
	ticked   presence.Instant // the watermark of the last tick in records
	since    presence.Instant // the watermark at the first sighting
	lastSeen presence.Instant // the time of the latest sighting
	sessions bool             // a router reported a session
}

// sweepEvery is the event time between two sweeps.
const sweepEvery = 10 * time.Minute

// read reads a range. If byTimestamp is set and the range begins too late in event
// time, read returns errBegunLate.
func (c *recount) read(ctx context.Context, r kafka.OffsetRange, byTimestamp bool) error {
	c.begin(r.From > 0, byTimestamp)
	if err := c.in.read(ctx, r, c.take); err != nil {
		return err
	}
	// Without a single tick the beginning in event time is unknown.
	if c.byTimestamp && c.firstTick == 0 {
		return errBegunLate
	}
	c.sweep(true)
	return nil
}

// begin resets the state for a reading.
func (c *recount) begin(middle, byTimestamp bool) {
	c.middle, c.byTimestamp, c.longest = middle, byTimestamp, c.in.longestRules()
	c.watermark, c.firstTick, c.sweptAt = 0, 0, 0
	c.devices, c.past = map[string]*heard{}, map[string]oracle.Past{}
}

// covered returns the coverage after everything was read.
func (c *recount) covered() (cov Coverage) {
	if c.watermark != 0 {
		cov.Until = c.watermark.Time().Add(-settling(c.longest))
	}
	switch {
	case !c.middle:
	case c.firstTick == 0:
		cov.Since = never
	default:
		cov.Since = c.firstTick.Time().Add(leadIn(c.longest))
	}
	return cov
}

// take processes one record.
func (c *recount) take(r *kgo.Record) error {
	c.in.progress(r)
	if c.in.DeadLetters.has(r) {
		return nil
	}
	err := events.DecodeSightings(r.Key, r.Value, &c.event)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		return nil // the record is a dead letter, or will be one
	}
	switch {
	case err != nil:
		return err
	case c.event.IsTick:
		return c.tick(presence.InstantOf(c.event.Tick.At))
	case c.middle && c.firstTick == 0:
		// The watermark is unknown, so the sighting may be too late to count. The
		// coverage begins later.
		return nil
	case c.excluded(r, &c.event.Sighting):
		return nil
	}
	c.hear(string(r.Key), c.watermarkFor(r), stage.PresenceSighting(&c.event.Sighting))
	return nil
}

// tick advances the watermark, and ends the reading when every visit before the
// upper limit is decided.
func (c *recount) tick(at presence.Instant) error {
	if c.middle && c.firstTick == 0 {
		c.firstTick = at
		if c.byTimestamp && at.Time().After(c.from.Add(-leadIn(c.longest))) {
			return errBegunLate
		}
	}
	c.watermark = max(c.watermark, at)
	if !c.to.IsZero() && c.watermark.Time().After(c.to.Add(leadOut(c.longest))) {
		return kafka.ErrStopPartition
	}
	if c.watermark.Time().Sub(c.sweptAt.Time()) >= sweepEvery {
		c.sweep(false)
	}
	return nil
}

// hear keeps a sighting, unless it is below every hold threshold of the business.
func (c *recount) hear(device string, watermark presence.Instant, s presence.Sighting) {
	if business, _, _ := events.SplitDeviceKey(device); s.RSSI < c.in.lowestHold(business) && s.Report == presence.NoReport {
		return
	}
	h := c.devices[device]
	if h == nil {
		h = &heard{since: watermark}
		c.devices[device] = h
	}
	// The oracle needs the watermark at each sighting: put a tick before the sighting
	// if the watermark has moved.
	if h.ticked != c.watermark {
		h.ticked = c.watermark
		h.records = append(h.records, oracle.Record{Tick: c.watermark})
	}
	h.records = append(h.records, oracle.Record{Device: device, Sighting: s})
	h.lastSeen = max(h.lastSeen, s.SeenAt)
	h.sessions = h.sessions || s.Report != presence.NoReport
}

// sweep decides on the devices that were unheard for a quiet period, and drops
// their sightings. At the end of the reading, all decides on every device.
func (c *recount) sweep(all bool) {
	c.sweptAt = c.watermark
	for device, h := range c.devices {
		if all || c.watermark.Time().Sub(h.lastSeen.Time()) > quietPeriod(c.longest, h.sessions) {
			c.decide(device, h)
			delete(c.devices, device)
		}
	}
}

// decide lets the oracle find the visits of a device and reports them.
func (c *recount) decide(device string, h *heard) {
	// If the device was heard from the beginning of the reading on, all its visits are
	// uncertain until the first pause.
	until, uncertain := c.firstPause(h)
	if uncertain {
		c.reportVisit(Visit{Device: device, Start: c.firstTick.Time(), Uncertain: true, Until: until.Time()})
	}

	// Call the oracle even if the rules changed, since it also notes long days in
	// c.past.
	business, _, _ := events.SplitDeviceKey(device)
	rules := c.in.rulesAt(business, h.since)
	visits, _ := oracle.PartitionVisitsAfter(c.past, h.records, rules)
	over := max(h.lastSeen, h.ticked) + presence.Instant(quietPeriod(c.longest, h.sessions).Milliseconds())
	if c.in.rulesChange(business, h.since, over) {
		c.reportRulesChanged(device, h)
		return
	}

	for _, v := range visits[device] {
		start := v.Start.Time()
		// The stage has judged each day by the rules of the day. If the rules differ
		// from the present rules, the recount does not know the result.
		otherRules := rules.ResidentDays > 0 && c.in.rulesChange(business, presence.InstantOf(start.Add(-learningPeriod)), v.Start)
		if (!v.Resident || otherRules) && (!uncertain || v.Start > until) {
			unread := c.middle && rules.ResidentDays > 0 && start.Before(c.firstTick.Time().Add(learningPeriod))
			c.reportVisit(Visit{Device: device, Start: start, Last: v.Last.Time(), MaybeResident: otherRules || unread})
		}
	}
}

// reportVisit calls each with a visit within the limits, widened by margin.
func (c *recount) reportVisit(v Visit) {
	end := v.Start
	if v.Uncertain {
		end = v.Until
	}
	if (c.from.IsZero() || !end.Before(c.from.Add(-margin))) && (c.to.IsZero() || v.Start.Before(c.to.Add(margin))) {
		c.each(v)
	}
}

// firstPause reports whether a device was heard right from the beginning of a
// reading in the middle of the topic. If so, firstPause also returns the time of the
// last sighting before the first pause that is long enough to end any visit.
func (c *recount) firstPause(h *heard) (until presence.Instant, uncertain bool) {
	if !c.middle {
		return 0, false
	}
	var times []presence.Instant
	for _, one := range h.records {
		if one.Tick == 0 {
			times = append(times, one.Sighting.SeenAt)
		}
	}
	slices.Sort(times)

	// Follow the sightings from the first tick on to the first pause.
	pause := presence.Instant(longestPause(c.longest, h.sessions).Milliseconds())
	until = c.firstTick
	for _, t := range times {
		if t > until+pause {
			break
		}
		until = max(until, t)
		uncertain = true
	}
	return until, uncertain
}
