package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/kafka"
	"footfall/shared/presence"
)

// Visit is a visit in sightings.
type Visit struct {
	Device string // the record key, "business/device"
	Start  time.Time
	Last   time.Time // when the device was last heard in the visit; zero if Uncertain
	// Uncertain is set if the recount cannot decide on the visits of the device from
	// Start to Until, for one of two reasons. The rules changed, see RulesChanged. Or
	// the reading began in the middle of the topic, and the device was heard from the
	// beginning to Until without a pause that ends a visit; the device may have been
	// inside before.
	Uncertain bool
	Until     time.Time // if Uncertain
	// MaybeResident is set if the device may be a resident device by unread days: the
	// reading began, or the rules changed, less than 29 days before the visit.
	MaybeResident bool
	// RulesChanged is set if the visit is Uncertain because the rules of the business
	// changed while the device was heard.
	RulesChanged bool
}

// Coverage is the range of starts for which a recount has found all visits of a
// partition: at or after Since, before Until. A zero Until is no limit.
type Coverage struct{ Since, Until time.Time }

// contains reports whether the visits that started at a time are covered.
func (c Coverage) contains(start time.Time) bool {
	return !start.Before(c.Since) && (c.Until.IsZero() || start.Before(c.Until))
}

// never is later than every walk-in: the Since of a partition of which nothing could
// be recounted.
var never = time.Unix(1<<40, 0)

// maxAhead is how far ahead of the watermark a sighting still counts.
const maxAhead = 24 * time.Hour

// margin widens the range of reported visits, since a produced start may be a step
// off the recounted start.
const margin = 2 * presence.Grid

// learningPeriod is the time before a visit whose days decide whether the device is a
// resident device.
const learningPeriod = 29 * 24 * time.Hour

// leadIn returns how long before a moment the reading must begin to find the visits
// with a start from this moment on. A sighting may be in the log up to a day before
// the watermark reaches the time of the sighting, and an open visit at the beginning
// of the reading needs a session gap more to end, or the longest session. Stores
// close at night, so most devices pause within a lead-in.
func leadIn(r presence.Rules) time.Duration { return maxAhead + longestPause(r, true) + r.Lateness }

// longestPause returns an upper bound of the time between two sightings of one
// visit. A device of which a router reports sessions may be silent for the longest
// session.
func longestPause(r presence.Rules, sessions bool) time.Duration {
	pause := r.Silence
	if sessions {
		pause = max(pause, r.MaxSession)
	}
	return pause + 2*presence.Grid
}

// leadOut returns how far the watermark must be past a moment to decide on every
// visit with a start before the moment.
func leadOut(r presence.Rules) time.Duration {
	return settling(r) + r.Silence + r.Lateness
}

// settling returns the longest time from the start of a visit to its confirmation:
// the time of the strong sightings for the confirmation, and the time in which the
// visit may still be joined with another visit.
func settling(r presence.Rules) time.Duration {
	return time.Duration(r.MinStrong)*r.MaxGap + r.MinSpan + 4*presence.Grid
}

// quietPeriod returns how long a device must be unheard until no later sighting can
// belong to the visits found so far.
func quietPeriod(r presence.Rules, sessions bool) time.Duration {
	return longestPause(r, sessions) + r.Lateness + presence.Grid
}

// Recount reads one partition of sightings and calls each with the visits that the
// oracle finds: all visits with a start at or after from and before to, and some
// visits outside these limits. A zero time is no limit.
//
// When a device was unheard for a quiet period, Recount passes its sightings to the
// oracle and drops them, so the memory holds the sightings of about an hour, and of
// half a day for devices of which a router reports sessions.
//
// The Coverage leaves out two kinds of visits. Around the beginning of the reading,
// visits are uncertain unless the topic begins there too. At the end of the topic,
// the stage may not have confirmed a visit yet.
func Recount(ctx context.Context, in Input, r kafka.OffsetRange, from, to time.Time, each func(Visit)) (covered Coverage, err error) {
	// Begin a lead-in before the lower limit, by the timestamps of the records.
	begin := r
	if !from.IsZero() && r.Len() > 0 {
		if begin.From, err = offsetAt(ctx, in.Client, r, from.Add(-leadIn(in.longestRules()))); err != nil {
			return Coverage{}, err
		}
	}
	c := &recount{in: in, from: from, to: to, each: each}
	err = c.read(ctx, begin, begin.From > r.From)
	if errors.Is(err, errBegunLate) {
		// The timestamps differ from event time, as after a replay of recordings, and
		// the reading began too late in event time. Read everything.
		begin.From = r.From
		err = c.read(ctx, begin, false)
	}
	if err != nil {
		return Coverage{}, fmt.Errorf("recount %s: %w", r, err)
	}
	return c.covered(), nil
}

// offsetAt returns the first offset whose record has a timestamp of at least since.
func offsetAt(ctx context.Context, client *kgo.Client, r kafka.OffsetRange, since time.Time) (int64, error) {
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, since.UnixMilli(), r.Topic)
	if err != nil {
		return 0, fmt.Errorf("look up the offset of %s at %s: %w", r, since.UTC().Format(time.RFC3339), err)
	}
	o, ok := listed.Lookup(r.Topic, r.Partition)
	if !ok {
		o.Err = errors.New("the brokers sent no offset")
	}
	if o.Err != nil {
		return 0, fmt.Errorf("look up the offset of %s at %s: %w", r, since.UTC().Format(time.RFC3339), o.Err)
	}
	return min(max(o.Offset, r.From), r.To), nil
}

// errBegunLate is the error of a reading with a beginning later in event time than
// intended.
var errBegunLate = errors.New("the first tick is later than the intended beginning")
