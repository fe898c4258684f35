package score

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"footfall/events"
)

// Spread describes how far moments are off, with early and late alike.
type Spread struct {
	N      int           // number of moments compared
	Median time.Duration // median of the absolute deviations
	P90    time.Duration // nine of ten deviate by at most this much
	Bias   time.Duration // median with its sign: above 0 is later than the truth

	off []time.Duration // all of them, sorted
}

// MarshalJSON writes the durations in seconds.
func (s Spread) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		N      int     `json:"n"`
		Median float64 `json:"median_s"`
		P90    float64 `json:"p90_s"`
		Bias   float64 `json:"bias_s"`
	}{s.N, s.Median.Seconds(), s.P90.Seconds(), s.Bias.Seconds()})
}

// Weight returns the sum of all deviations in units of most; each counts for at
// most one unit.
func (s Spread) Weight(most time.Duration) float64 {
	sum := 0.0
	for _, d := range s.off {
		sum += float64(min(d, most)) / float64(most)
	}
	return sum
}

// Within returns how many deviations are at most most.
func (s Spread) Within(most time.Duration) int {
	n, found := slices.BinarySearch(s.off, most)
	for found && n < len(s.off) && s.off[n] == most {
		n++
	}
	return n
}

// Timing holds how far arrivals and exits were off. A true visit has an arrival
// of its own unless the found visit that matches it began with another true
// visit, and likewise an exit: a merged visit counts as merged, once, and not
// also as hours of error.
type Timing struct {
	Start     Spread `json:"start"` // first sighting of the visit, compared with entering
	Confirmed Spread `json:"told"`  // confirmation of the walk-in, compared with entering
	// Beyond is Confirmed without the delay that the dwell asks for: 0 if the
	// walk-in was confirmed within the dwell after entering.
	Beyond Spread `json:"told_beyond_dwell"`
	Exit   Spread `json:"exit"` // last sighting, compared with leaving
}

// Dwell returns for how long a device must have been seen in a business before a
// walk-in is confirmed.
type Dwell func(events.BusinessID) time.Duration

// EqualDwell returns the Dwell of businesses with the same dwell.
func EqualDwell(d time.Duration) Dwell { return func(events.BusinessID) time.Duration { return d } }

// MeasureTiming compares the times of found visits with those of the truth. The
// visits may come in any order.
func MeasureTiming(truth []Visit, found []FoundVisit, dwell Dwell) Timing {
	truth, found = slices.Clone(truth), slices.Clone(found)
	Sort(truth)
	slices.SortFunc(found, func(a, b FoundVisit) int { return a.Start.Compare(b.Start) })
	var start, confirmed, beyond, exit []time.Duration
	firsts, lasts := make([]int, len(truth)), make([]int, len(truth)) // by true visit: its first and last found visit, index + 1
	own := make([][2]int, len(found))                                 // by found visit: its first and last true visit
	// Match each found visit with the true visits of its device. Both are in
	// order of time, so the first and the last match are those at either end.
	spans := spansByDevice(truth)
	for i, f := range found {
		own[i] = [2]int{-1, -1}
		for _, s := range spans[deviceKey{f.Business, f.Device}] {
			if !overlaps(s.visit, f) {
				continue
			}
			if own[i][0] < 0 {
				own[i][0] = s.index
			}
			own[i][1] = s.index
			if firsts[s.index] == 0 {
				firsts[s.index] = i + 1
			}
			lasts[s.index] = i + 1
		}
	}
	// Compare an end of a true visit only if the found visit at that end has no
	// other true visit before it, or after it.
	for i, v := range truth {
		if n := firsts[i] - 1; n >= 0 && own[n][0] == i {
			start = append(start, found[n].Start.Sub(v.Enter))
			if !found[n].ConfirmedAt.IsZero() {
				confirmed = append(confirmed, found[n].ConfirmedAt.Sub(v.Enter))
				beyond = append(beyond, outside(found[n].ConfirmedAt.Sub(v.Enter), dwell(v.Business)))
			}
		}
		if n := lasts[i] - 1; n >= 0 && own[n][1] == i && !found[n].End.IsZero() {
			exit = append(exit, found[n].End.Sub(v.Leave))
		}
	}
	return Timing{Start: spread(start), Confirmed: spread(confirmed), Beyond: spread(beyond), Exit: spread(exit)}
}

// outside returns how far late lies outside of 0 to dwell. Steps are two
// minutes long, so a walk-in may be confirmed up to one step before the dwell
// is over.
func outside(late, dwell time.Duration) time.Duration {
	return late - min(max(late, 0), dwell)
}

// spread summarises deviations; it sorts off and replaces it by absolute
// values.
func spread(off []time.Duration) Spread {
	if len(off) == 0 {
		return Spread{}
	}
	slices.Sort(off)
	s := Spread{N: len(off), Bias: quantile(off, 0.5), off: off}
	for i := range off {
		off[i] = off[i].Abs()
	}
	slices.Sort(off)
	s.Median, s.P90 = quantile(off, 0.5), quantile(off, 0.9)
	return s
}

// quantile returns the smallest element that a share of sorted does not exceed.
// It takes no mean of two elements: every figure is one that was measured.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
