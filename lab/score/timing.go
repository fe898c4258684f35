package score

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Spread says how far moments lie off, earlier and later alike.
type Spread struct {
	N      int           // moments compared
	Median time.Duration // of how far they are off
	P90    time.Duration // nine of ten are off by no more
	Bias   time.Duration // median with its sign: above 0 is later than the truth

	off []time.Duration // all of them, sorted
}

// MarshalJSON gives the times in seconds.
func (s Spread) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		N      int     `json:"n"`
		Median float64 `json:"median_s"`
		P90    float64 `json:"p90_s"`
		Bias   float64 `json:"bias_s"`
	}{s.N, s.Median.Seconds(), s.P90.Seconds(), s.Bias.Seconds()})
}

// Weight is how far off all of them are together, in units of most; none counts
// for more than one unit.
func (s Spread) Weight(most time.Duration) float64 {
	sum := 0.0
	for _, d := range s.off {
		sum += float64(min(d, most)) / float64(most)
	}
	return sum
}

// Within is how many of them are off by no more than most.
func (s Spread) Within(most time.Duration) int {
	n, found := slices.BinarySearch(s.off, most)
	for found && n < len(s.off) && s.off[n] == most {
		n++
	}
	return n
}

// Timing says how far off arrivals and exits were found. A true visit has an
// arrival of its own unless the found visit that reaches it began with another
// true visit, and likewise an exit: what is merged counts as merged, once, and
// not as hours of error besides.
type Timing struct {
	Start     Spread `json:"start"` // first sighting of the visit, against coming in
	Confirmed Spread `json:"told"`  // the walk-in, against coming in
	// Beyond is Told without the delay that the dwell rule asks for: 0 where the
	// walk-in was told within that time after coming in.
	Beyond Spread `json:"told_beyond_dwell"`
	Exit   Spread `json:"exit"` // last sighting, against leaving
}

// MeasureTiming compares found with truth; dwell is how long somebody must have been
// seen before a walk-in is told. The visits may come in any order.
func MeasureTiming(truth []Visit, found []FoundVisit, dwell time.Duration) Timing {
	truth, found = slices.Clone(truth), slices.Clone(found)
	Sort(truth)
	slices.SortFunc(found, func(a, b FoundVisit) int { return a.Start.Compare(b.Start) })
	var start, confirmed, beyond, exit []time.Duration
	firsts, lasts := make([]int, len(truth)), make([]int, len(truth)) // found visit at either end of a true one, from 1
	own := make([][2]int, len(found))                                 // true visit at either end of a found one
	spans := spansByDevice(truth)
	for i, f := range found {
		own[i] = [2]int{-1, -1}
		for _, s := range spans[of{f.Business, f.Device}] {
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
	for i, v := range truth {
		if n := firsts[i] - 1; n >= 0 && own[n][0] == i {
			start = append(start, found[n].Start.Sub(v.Enter))
			if !found[n].ConfirmedAt.IsZero() {
				confirmed = append(confirmed, found[n].ConfirmedAt.Sub(v.Enter))
				beyond = append(beyond, outside(found[n].ConfirmedAt.Sub(v.Enter), dwell))
			}
		}
		if n := lasts[i] - 1; n >= 0 && own[n][1] == i && !found[n].End.IsZero() {
			exit = append(exit, found[n].End.Sub(v.Leave))
		}
	}
	return Timing{Start: spread(start), Confirmed: spread(confirmed), Beyond: spread(beyond), Exit: spread(exit)}
}

// outside is how far late lies outside of 0 to dwell. On the grid of two minutes
// a walk-in may come up to one step before the dwell is over.
func outside(late, dwell time.Duration) time.Duration {
	return late - min(max(late, 0), dwell)
}

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

// quantile is the smallest of sorted that a share of them does not exceed. It
// takes no mean of two: every figure is one that was measured.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
