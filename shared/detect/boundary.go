package detect

import (
	"context"
	"slices"

	"footfall/events"
	"footfall/shared/presence"
)

// cross takes the clock over the boundaries up to at, those moments from which on
// other rules of a business hold, though its next tick may lie far behind them.
// At each boundary the devices of such a business are told its time by the rules
// that end there; from then on the new ones decide. So a visit whose silence was
// over by then has ended by then, however much longer the new silence is.
//
// Each boundary ends an item of the log, as a tick does that is the last of its
// batch. Were it written together with the tick, parts of both could go ahead
// under the clock from before both. Told again, a device that has the tick behind
// it would meet the boundary, and end a visit that only the new rules have
// confirmed.
func (w *decision) cross(ctx context.Context, at presence.Instant) error {
	boundaries := w.view.rules.boundaries(w.view.clock, at)
	if w.view.clock == 0 {
		return w.begin(ctx, boundaries)
	}
	for _, since := range boundaries {
		keys := w.changing(since)
		if len(keys) == 0 {
			continue
		}
		if err := w.makeRoom(ctx, keys); err != nil {
			return err
		}
		w.view.clock, w.partition.due = since, 0
		for _, key := range keys {
			if err := w.tickDevice(key, since, since-1); err != nil {
				return err
			}
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin is cross at the first tick. What was heard before it was decided by the
// rules of its own time: a boundary ends nothing then, and confirms nothing. Only
// what came from long ago is forgotten, as who reads the log forgets it.
func (w *decision) begin(ctx context.Context, boundaries []presence.Instant) error {
	crossed := presence.Instant(0)
	for _, since := range boundaries {
		keys := w.changing(since)
		for _, key := range keys {
			business, _, _ := events.SplitDeviceKey(key)
			w.view.devices[key].Forget(since, w.view.rules.at(business, since-1))
		}
		if len(keys) > 0 {
			crossed = since
		}
	}
	if crossed == 0 {
		return nil
	}
	w.view.clock, w.partition.due = crossed, 0
	return w.flush(ctx)
}

// changing lists the devices of the businesses that have other rules from a
// moment on, in the order of their keys.
func (w *decision) changing(since presence.Instant) (keys []string) {
	for key := range w.view.devices {
		if business, _, _ := events.SplitDeviceKey(key); w.view.rules.changesAt(business, since) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
