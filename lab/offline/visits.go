package offline

import (
	"cmp"
	"slices"
	"time"

	"footfall/lab/score"
	"footfall/shared/presence"
)

const (
	minute = presence.Instant(time.Minute / time.Millisecond)
	// maxAhead is how far ahead of the clock a sighting is a dead letter.
	maxAhead = presence.Instant(24 * time.Hour / time.Millisecond)
	// tail is how long the clock goes on after the last sighting of a device: the
	// longest silence that rules allow, the lateness, and more.
	tail = presence.Instant(14 * time.Hour / time.Millisecond)
)

// Visits gives the visits that the rules find, in the order of their start. The
// clock ticks every minute, as in the pipeline. r must be valid.
func (t *Trace) Visits(r presence.Rules) []score.FoundVisit {
	var all []score.FoundVisit
	for i := range t.devices {
		d := &t.devices[i]
		if int32(d.loudest) < r.Entry {
			continue // it never opens a candidate
		}
		w := walk{rules: &r, of: d.Device, found: all, first: len(all)}
		w.run(d.heard)
		all = w.found
	}
	slices.SortFunc(all, func(a, b score.FoundVisit) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
	})
	return all
}

// walk decides on one device. No decision depends on another device, so its
// sightings are all that is needed besides the clock.
type walk struct {
	rules *presence.Rules
	state presence.Device
	of    Device
	clock presence.Instant
	found []score.FoundVisit
	first int // of found, that is this device's
	told  []presence.Event
}

func (w *walk) run(all []heard) {
	for _, h := range all {
		w.tickUntil(presence.Instant(h.minute) * minute)
		// The clock of the feed has ticked up to the very minute of the arrival.
		in := presence.Sighting{
			SeenAt: presence.Instant(h.seen), RSSI: int32(h.rssi),
			Associated: h.flags&associated != 0, Randomised: h.flags&randomised != 0,
		}
		if in.SeenAt > w.clock+maxAhead {
			continue
		}
		_, w.told = w.state.Next(in, w.clock, w.rules, w.told[:0])
		w.take()
	}
	w.tickUntil(w.clock + tail) // a habit may go on to be known: it tells nothing
}

// tickUntil moves the clock and stops at the ticks that do something to the
// device; of a quiet night it sees two or three.
func (w *walk) tickUntil(end presence.Instant) {
	for {
		due := w.state.Due(w.rules)
		if due == 0 {
			break
		}
		// What is due is done by the first tick that is not before it. One that did
		// not do all there is must not be given again and again.
		next := max((due+minute-1)/minute*minute, w.clock+minute)
		if next > end {
			break
		}
		w.clock = next
		_, w.told = w.state.Tick(next, w.rules, w.told[:0])
		w.take()
	}
	w.clock = end
}

// take notes what was told. A visit that went on after its end ends again.
func (w *walk) take() {
	for _, e := range w.told {
		start := e.Start.Time()
		if !e.Ended {
			w.found = append(w.found, score.FoundVisit{
				Business: w.of.Business, Device: w.of.ID, Start: start, ConfirmedAt: e.ConfirmedAt.Time(), Anonymous: e.Anonymous, Resident: e.Resident,
			})
			continue
		}
		for i := len(w.found) - 1; i >= w.first; i-- {
			if v := &w.found[i]; v.Start.Equal(start) {
				if e.Last.Time().After(v.End) {
					v.End = e.Last.Time()
				}
				break
			}
		}
	}
}
