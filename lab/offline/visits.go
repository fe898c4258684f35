package offline

import (
	"cmp"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/presence"
)

const (
	minute = presence.Instant(time.Minute / time.Millisecond)
	// maxAhead is how far a sighting may lie ahead of the watermark; one
	// further ahead is a dead letter.
	maxAhead = presence.Instant(24 * time.Hour / time.Millisecond)
	// tail is how long the watermark advances after the last sighting of a
	// device: the longest session gap that rules allow, the allowed lateness,
	// and more.
	tail = presence.Instant(14 * time.Hour / time.Millisecond)
)

// Visits returns the visits that the rules find, in the order of their start.
// The watermark advances minute by minute, as in the pipeline. r must be valid.
func (t *Trace) Visits(r presence.Rules) []score.FoundVisit {
	return t.VisitsBy(func(events.BusinessID) *presence.Rules { return &r })
}

// VisitsBy returns the visits as Visits does, each business by rules of its own.
func (t *Trace) VisitsBy(rules func(events.BusinessID) *presence.Rules) []score.FoundVisit {
	var all []score.FoundVisit
	for i := range t.devices {
		d := &t.devices[i]
		r := rules(d.Business)
		if int32(d.loudest) < r.Entry {
			continue // never at the entry threshold: no candidate opens
		}
		w := walk{trace: t, rules: r, device: d.Device, found: all, first: len(all)}
		w.run(d.heard)
		all = w.found
	}
	slices.SortFunc(all, func(a, b score.FoundVisit) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
	})
	return all
}

// walk decides on one device. No decision depends on another device, so the
// device's sightings and the watermark are the only input.
type walk struct {
	trace     *Trace
	rules     *presence.Rules
	state     presence.Device
	device    Device
	watermark presence.Instant
	found     []score.FoundVisit
	first     int // index in found of this device's first visit
	events    []presence.Event
}

// run applies all sightings of the device in the order of arrival, each at the
// watermark of its minute of arrival, and then ticks until every visit has
// ended.
func (w *walk) run(all []heard) {
	for _, h := range all {
		w.tickUntil(presence.Instant(h.minute) * minute)

		in := w.trace.sighting(&h)
		if in.SeenAt > w.watermark+maxAhead {
			continue
		}
		_, w.events = w.state.Next(in, w.watermark, w.rules, w.events[:0])
		w.collect()
	}
	w.tickUntil(w.watermark + tail) // a habit may stay in the state; it emits nothing
}

// tickUntil advances the watermark to end. It applies only the ticks that
// change the device: in a quiet night two or three.
func (w *walk) tickUntil(end presence.Instant) {
	for {
		due := w.state.Due(w.rules)
		if due == 0 {
			break
		}
		// The first tick at or after due applies the change. If that tick left
		// part of the change undone, Due may return the same moment again: go
		// on with the next minute, so that the loop ends.
		next := max((due+minute-1)/minute*minute, w.watermark+minute)
		if next > end {
			break
		}
		w.watermark = next
		_, w.events = w.state.Tick(next, w.rules, w.events[:0])
		w.collect()
	}
	w.watermark = end
}

// collect adds the emitted walk-ins and ends to found. A visit that continued
// after its end ends again; the latest end counts.
func (w *walk) collect() {
	for _, e := range w.events {
		start := e.Start.Time()
		if !e.Ended {
			w.found = append(w.found, score.FoundVisit{
				Business: w.device.Business, Device: w.device.ID, Start: start, ConfirmedAt: e.ConfirmedAt.Time(), Anonymous: e.Anonymous, Resident: e.Resident,
			})
			continue
		}
		// Find the visit that ended: the newest of this device that began at
		// start.
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
