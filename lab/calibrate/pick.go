package calibrate

import (
	"math"
	"slices"
	"time"

	"footfall/lab/score"
	"footfall/shared/presence"
)

// entry chooses the entry threshold and the dwell: the best entry threshold for
// each dwell, then the dwell.
func (s *search) entry() {
	var all [][]Point
	var best []int
	s.choice.Dwells = nil
	for _, d := range dwells {
		points := s.entries(d)
		i := s.pickEntry(points)
		all, best = append(all, points), append(best, i)
		s.choice.Dwells = append(s.choice.Dwells, points[i])
	}
	i := s.pickDwell()
	p := all[i][best[i]]
	s.rules.Entry, s.rules.Hold, s.rules.MinSpan = p.Entry, p.Hold, p.Dwell
	s.choice.Entries = all[i]
}

// pickEntry returns the index of the chosen entry threshold.
func (s *search) pickEntry(points []Point) int {
	switch {
	case s.hasTruth() && slices.ContainsFunc(points, func(p Point) bool { return p.Figures.Visits.Found > 0 }):
		return s.plateau(points)
	case s.empty < fewHours:
		return s.usual()
	}
	// Without truth only empty hours count. Empty hours are nights and days
	// off, when the street is quiet too: they may require a stricter threshold
	// than the base one, but never justify a weaker one.
	i := 0
	for j := range points[:s.usual()+1] {
		if points[j].Allowed {
			i = j
		}
	}
	return i
}

// usual returns the index of the base entry threshold.
func (s *search) usual() int {
	base := s.Base.Entry
	return int(loudestEntry - min(max(base, WeakestEntry), loudestEntry))
}

// plateau returns the middle of the longest run of points that are allowed and
// as good as the best.
func (s *search) plateau(points []Point) int {
	limit := s.tolerance(points)
	first, length := 0, 0
	// Measure the run that begins at i, then go on behind it.
	for i := 0; i < len(points); i++ {
		n := 0
		for i+n < len(points) && points[i+n].Allowed && points[i+n].Cost <= limit {
			n++
		}
		if n > length {
			first, length = i, n
		}
		i += n
	}
	return first + length/2
}

// pickDwell returns the index of the chosen dwell: the longest, up to the base
// dwell, that costs no more than the best and confirms half of the walk-ins
// within a minute after the dwell. Without truth it is the base dwell, or the
// next longer one that keeps to the limit.
func (s *search) pickDwell() int {
	points := s.choice.Dwells
	usual := slices.Index(dwells, time.Duration(s.Base.Dwell))
	if usual < 0 {
		usual = slices.Index(dwells, presence.DefaultRules().MinSpan)
	}
	// Without truth, a longer dwell is taken only to keep to the limit.
	if !s.hasTruth() {
		for i := usual; i < len(points); i++ {
			if points[i].Allowed {
				return i
			}
		}
		return usual
	}
	// Try from the base dwell downwards; if no dwell qualifies, the cheapest is
	// taken.
	limit, best := s.tolerance(points), usual
	for i := range points[:usual+1] {
		p := points[usual-i]
		if p.Allowed && p.Cost <= limit && promptly(p.Figures.Timing.Beyond) {
			return usual - i
		}
		if p.Cost < points[best].Cost {
			best = usual - i
		}
	}
	return best
}

// promptly reports whether half of all walk-ins can be expected within prompt
// after the dwell. It asks for half of the measured walk-ins and one standard
// error more, since few walk-ins reach the half by chance.
func promptly(beyond score.Spread) bool {
	n := float64(beyond.N)
	return float64(beyond.Within(prompt)) >= n/2+math.Sqrt(n)/2
}

// gap chooses the session gap.
func (s *search) gap() {
	var points []Point
	for _, g := range gaps {
		r := s.rules
		r.Silence, r.AssociatedSilence = g, min(r.AssociatedSilence, g)
		points = append(points, s.point(r))
	}
	s.choice.Gaps = points
	p := points[s.pickGap(points)]
	s.rules.Silence = p.Gap
	s.rules.AssociatedSilence = min(s.rules.AssociatedSilence, p.Gap)
}

// pickGap returns the index of the chosen session gap. It must be as good as
// the best and have a shorter and a longer neighbour that are as good, since
// the next phone may be silent for a little longer. The base gap is taken if it
// qualifies, else the shortest that does. Without truth the base gap is kept:
// the silence of a phone cannot be distinguished from the absence of its owner.
func (s *search) pickGap(points []Point) int {
	usual := max(0, slices.Index(gaps, time.Duration(s.Base.Gap)))
	if !s.hasTruth() {
		return usual
	}
	// Points beyond either end of the list count as good.
	limit := s.tolerance(points)
	good := func(i int) bool { return i < 0 || i >= len(points) || points[i].Cost <= limit }
	inside := func(i int) bool { return good(i-1) && good(i) && good(i+1) }
	if inside(usual) {
		return usual
	}
	for i := range points {
		if inside(i) {
			return i
		}
	}
	return slices.IndexFunc(points, func(p Point) bool { return p.Cost <= limit })
}

// hold chooses the hold threshold. Only true visits can distinguish two hold
// thresholds; the base one is kept if it is as good as the best.
func (s *search) hold() {
	var points []Point
	usual := 0
	// Measure from the entry threshold down; usual is the last at or above
	// usualHold.
	for h := s.rules.Entry; h >= weakestHold; h -= holdEvery {
		r := s.rules
		r.Hold = h
		points = append(points, s.point(r))
		if h >= s.usualHold(r.Entry) {
			usual = len(points) - 1
		}
	}
	// Leave the base threshold only if it costs more than the best.
	smooth(points, 1)
	s.choice.Holds = points
	s.rules.Hold = s.usualHold(s.rules.Entry)
	if s.hasTruth() && points[usual].Cost > s.tolerance(points) {
		s.rules.Hold = points[s.plateau(points)].Hold
	}
}
