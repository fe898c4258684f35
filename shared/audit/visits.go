package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// Visit is a visit as the sightings tell it.
type Visit struct {
	Device string // its record key, "business/device"
	Start  time.Time
	Last   time.Time // when the device was last heard in it; zero where Unsure
	// Uncertain is set where reading began in the middle of what was going on: the
	// device was heard from then until Until without a pause that parts visits. It
	// may have been inside before, so what began when is not known.
	Uncertain bool
	Until     time.Time // where Unsure
	// MaybeResident is set where reading began, or the rules changed, so shortly before
	// that the device may be a resident's by days that are not known.
	MaybeResident bool
	// RulesChanged is set where it is unsure because the rules changed meanwhile.
	RulesChanged bool
}

// maxAhead is how far ahead of its partition's clock a sighting still counts.
const maxAhead = 24 * time.Hour

// leadIn is how far before a moment reading has to begin for visits that start
// at that moment or later: a sighting may lie a day early in the log, and a
// visit that goes on ends its silence later than that. Shops are closed at
// night, so that most devices pause within it.
func leadIn(r presence.Rules) time.Duration { return maxAhead + r.Silence + r.Lateness }

// learning is for how long the days of a device tell whether it is a resident's.
const learning = 29 * 24 * time.Hour

// leadOut is how far behind a moment the clock has to be for every visit that
// started before it to be decided.
func leadOut(r presence.Rules) time.Duration {
	return settling(r) + r.Silence + r.Lateness
}

// Coverage is which visits of a partition a recount knows: those that started at
// Since or later and before Until. A zero Until is no bound.
type Coverage struct{ Since, Until time.Time }

// holds says whether the visits that started at a moment are known.
func (k Coverage) holds(at time.Time) bool {
	return !at.Before(k.Since) && (k.Until.IsZero() || at.Before(k.Until))
}

// never is later than every walk-in: the time from which on a partition is known
// of which nothing could be read.
var never = time.Unix(1<<40, 0)

// settling is how long after its start a visit may be told: once enough strong
// sightings confirm it, and what could make it one with another has passed.
func settling(r presence.Rules) time.Duration {
	return time.Duration(r.MinStrong)*r.MaxGap + r.MinSpan + 4*presence.Grid
}

// Recount gives the visits in one partition of sightings that started at from or
// later and before to, and some around; zero times leave a side open. It reads
// with the oracle, device by device as soon as one has been silent for long
// enough, so that its memory holds what is heard in an hour or so. It says which
// of them it knows for certain: not those around where reading began, unless that
// is where the topic did, nor those at the end that may not be told yet.
func Recount(ctx context.Context, in Input, s kafka.OffsetRange, from, to time.Time, each func(Visit)) (known Coverage, err error) {
	begin := s
	if !from.IsZero() && s.Len() > 0 {
		if begin.From, err = offsetAt(ctx, in.Client, s, from.Add(-leadIn(in.widest()))); err != nil {
			return Coverage{}, err
		}
	}
	c := &recount{in: in, from: from, to: to, each: each}
	err = c.read(ctx, begin, begin.From > s.From)
	if errors.Is(err, errBegunLate) {
		// Timestamps of records say nothing of event time here, as when recordings
		// are replayed. Everything is read then.
		begin.From = s.From
		err = c.read(ctx, begin, false)
	}
	if err != nil {
		return Coverage{}, fmt.Errorf("recount %s: %w", s, err)
	}
	return c.known(), nil
}

// known is what is known once all is read.
func (c *recount) known() (k Coverage) {
	if c.clock != 0 {
		k.Until = c.clock.Time().Add(-settling(c.widest))
	}
	switch {
	case !c.middle:
	case c.cut == 0:
		k.Since = never
	default:
		k.Since = c.cut.Time().Add(leadIn(c.widest))
	}
	return k
}

// offsetAt gives the first offset whose record has a timestamp of at or later.
func offsetAt(ctx context.Context, client *kgo.Client, s kafka.OffsetRange, at time.Time) (int64, error) {
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, at.UnixMilli(), s.Topic)
	if err != nil {
		return 0, fmt.Errorf("offset of %s at %s: %w", s, at.UTC().Format(time.RFC3339), err)
	}
	o, ok := listed.Lookup(s.Topic, s.Partition)
	if !ok {
		o.Err = errors.New("the brokers do not say")
	}
	if o.Err != nil {
		return 0, fmt.Errorf("offset of %s at %s: %w", s, at.UTC().Format(time.RFC3339), o.Err)
	}
	return min(max(o.Offset, s.From), s.To), nil
}

// errBegunLate says that reading began later in event time than it was meant to.
var errBegunLate = errors.New("the first tick is later than the time looked for")

// recount is the state of one Recount.
type recount struct {
	in       Input
	widest   presence.Rules
	from, to time.Time
	each     func(Visit)
	middle   bool // reading began in the middle of the topic
	chosen   bool // where it began was chosen by timestamps

	clock, cut, swept presence.Instant // cut is the first clock, where middle
	devices           map[string]*heard
	past              map[string]oracle.Past // of devices that were inside for long
	event             events.SightingsRecord
}

// heard is what a device was heard since it was last silent for long enough.
type heard struct {
	all   []oracle.Record // its sightings, with the clock before each where that moved
	clock presence.Instant
	since presence.Instant // the clock that it was first heard at
	last  presence.Instant // the latest sighting
}

func (c *recount) read(ctx context.Context, s kafka.OffsetRange, chosen bool) error {
	c.begin(s.From > 0, chosen)
	if err := c.in.read(ctx, s, c.take); err != nil {
		return err
	}
	if c.chosen && c.cut == 0 {
		return errBegunLate
	}
	c.sweep(true)
	return nil
}

func (c *recount) begin(middle, chosen bool) {
	c.middle, c.chosen, c.widest = middle, chosen, c.in.widest()
	c.clock, c.cut, c.swept = 0, 0, 0
	c.devices, c.past = map[string]*heard{}, map[string]oracle.Past{}
}

func (c *recount) take(r *kgo.Record) error {
	c.in.progress(r)
	if c.in.DeadLetters.has(r) {
		return nil
	}
	err := events.DecodeSightings(r.Key, r.Value, &c.event)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		return nil // it is a dead letter, or will be
	}
	switch {
	case err != nil:
		return err
	case c.event.IsTick:
		return c.tick(presence.InstantOf(c.event.Tick.At))
	case c.middle && c.cut == 0:
		return nil // nothing says how late this is
	case c.ruledOut(r, &c.event.Sighting):
		return nil
	}
	c.hear(string(r.Key), c.clockOf(r), presence.Sighting{
		SeenAt: presence.InstantOf(c.event.Sighting.SeenAt), RSSI: int32(c.event.Sighting.RSSI),
		Associated: c.event.Sighting.Associated, Randomised: c.event.Sighting.Randomised,
	})
	return nil
}

func (c *recount) tick(at presence.Instant) error {
	if c.middle && c.cut == 0 {
		c.cut = at
		if c.chosen && at.Time().After(c.from.Add(-leadIn(c.widest))) {
			return errBegunLate
		}
	}
	c.clock = max(c.clock, at)
	if !c.to.IsZero() && c.clock.Time().After(c.to.Add(leadOut(c.widest))) {
		return kafka.ErrStopPartition
	}
	if c.clock.Time().Sub(c.swept.Time()) >= sweepEvery {
		c.sweep(false)
	}
	return nil
}

// sweepEvery is how often, in event time, devices are looked through.
const sweepEvery = 10 * time.Minute

// hear keeps a sighting. One below the hold threshold counts for nothing.
func (c *recount) hear(device string, clock presence.Instant, s presence.Sighting) {
	if business, _, _ := events.SplitDeviceKey(device); s.RSSI < c.in.hold(business) {
		return
	}
	h := c.devices[device]
	if h == nil {
		h = &heard{since: clock}
		c.devices[device] = h
	}
	if h.clock != c.clock {
		h.clock = c.clock
		h.all = append(h.all, oracle.Record{Tick: c.clock})
	}
	h.all = append(h.all, oracle.Record{Device: device, Sighting: s})
	h.last = max(h.last, s.SeenAt)
}

// sweep lets go of devices of which nothing that is still to come can belong to
// what was heard, or of all at the end.
func (c *recount) sweep(all bool) {
	c.swept = c.clock
	silent := silence(c.widest)
	for device, h := range c.devices {
		if all || c.clock.Time().Sub(h.last.Time()) > silent {
			c.decide(device, h)
			delete(c.devices, device)
		}
	}
}

// silence is how long nothing may be heard of a device until nothing that is still
// to come can belong to what was.
func silence(r presence.Rules) time.Duration { return r.Silence + r.Lateness + 3*presence.Grid }

// decide gives the visits of a device.
func (c *recount) decide(device string, h *heard) {
	known, unsure := c.knownFrom(h)
	if unsure {
		c.tell(Visit{Device: device, Start: c.cut.Time(), Uncertain: true, Until: known.Time()})
	}
	business, _, _ := events.SplitDeviceKey(device)
	rules := c.in.at(business, h.since)
	visits, _ := oracle.PartitionVisitsAfter(c.past, h.all, rules)
	over := max(h.last, h.clock) + presence.Instant(silence(c.widest).Milliseconds())
	if c.in.changed(business, h.since, over) {
		c.tellChanged(device, h)
		return
	}
	for _, v := range visits[device] {
		start := v.Start.Time()
		// Days are judged by the rules of their time, which this reader does not know.
		judged := rules.ResidentDays > 0 && c.in.changed(business, presence.InstantOf(start.Add(-learning)), v.Start)
		if (!v.Resident || judged) && (!unsure || v.Start > known) {
			unlearnt := judged || c.middle && rules.ResidentDays > 0 && start.Before(c.cut.Time().Add(learning))
			c.tell(Visit{Device: device, Start: start, Last: v.Last.Time(), MaybeResident: unlearnt})
		}
	}
}

// margin is how far beyond the range visits are given: the start that was told
// may be a step off.
const margin = 2 * presence.Grid

func (c *recount) tell(v Visit) {
	end := v.Start
	if v.Uncertain {
		end = v.Until
	}
	if (c.from.IsZero() || !end.Before(c.from.Add(-margin))) && (c.to.IsZero() || v.Start.Before(c.to.Add(margin))) {
		c.each(v)
	}
}

// knownFrom gives the moment from which on the visits of a device are known
// where it was heard right from the cut on: its first pause that parts visits,
// whatever was before it.
func (c *recount) knownFrom(h *heard) (at presence.Instant, unsure bool) {
	if !c.middle {
		return 0, false
	}
	var times []presence.Instant
	for _, one := range h.all {
		if one.Tick == 0 {
			times = append(times, one.Sighting.SeenAt)
		}
	}
	slices.Sort(times)
	parts := presence.Instant((c.widest.Silence + presence.Grid).Milliseconds())
	at = c.cut
	for _, t := range times {
		if t > at+parts {
			break
		}
		at = max(at, t)
		unsure = true
	}
	return at, unsure
}
