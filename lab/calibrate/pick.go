package calibrate

import (
	"math"
	"slices"
	"time"

	"footfall/lab/score"
	"footfall/shared/presence"
)

// entry chooses the entry threshold and the dwell.
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

// pickEntry gives the index of the entry threshold to take.
func (s *search) pickEntry(points []Point) int {
	switch {
	case s.learns() && slices.ContainsFunc(points, func(p Point) bool { return p.Figures.Visits.Found > 0 }):
		return s.plateau(points)
	case s.empty < fewHours:
		return s.usual()
	}
	// Empty hours are nights and days off, when the street is quiet too: they may
	// call for a stricter threshold than the usual one, and never for a weaker.
	i := 0
	for j := range points[:s.usual()+1] {
		if points[j].Allowed {
			i = j
		}
	}
	return i
}

// usual is the index of the entry threshold that the settings had.
func (s *search) usual() int {
	base := s.Base.Entry
	return int(loudestEntry - min(max(base, WeakestEntry), loudestEntry))
}

// plateau gives the middle of the longest run of points that are allowed and as
// good as the best.
func (s *search) plateau(points []Point) int {
	limit := s.bearable(points)
	first, length := 0, 0
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

// pickDwell gives the index of the dwell to take: the longest, up to the one the
// settings had, that costs no more than the best and tells half of the walk-ins
// within a minute of its being over. Without truth it is the one they had, or
// the next longer one that keeps to the limit.
func (s *search) pickDwell() int {
	points := s.choice.Dwells
	usual := slices.Index(dwells, time.Duration(s.Base.Dwell))
	if usual < 0 {
		usual = slices.Index(dwells, presence.DefaultRules().MinSpan)
	}
	if !s.learns() {
		for i := usual; i < len(points); i++ {
			if points[i].Allowed {
				return i
			}
		}
		return usual
	}
	limit, best := s.bearable(points), usual
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

// promptly says whether half of all walk-ins are told within a minute of the
// dwell being over, going by those measured: half of them and one standard error
// of that share more, since of few the half is soon there by chance.
func promptly(beyond score.Spread) bool {
	n := float64(beyond.N)
	return float64(beyond.Within(prompt)) >= n/2+math.Sqrt(n)/2
}

// gap chooses how long a silence ends a visit.
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

// pickGap gives a gap that is as good as the best one and has a shorter and a
// longer neighbour that are too, for the next phone may be silent for a little
// longer: the usual one if it is such a one, else the shortest. Without truth it
// is the usual one: a phone's silence looks like its owner's absence.
func (s *search) pickGap(points []Point) int {
	usual := max(0, slices.Index(gaps, time.Duration(s.Base.Gap)))
	if !s.learns() {
		return usual
	}
	limit := s.bearable(points)
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

// hold chooses the hold threshold. Only true visits tell one from another; the
// usual one stays where it is as good as the best.
func (s *search) hold() {
	var points []Point
	usual := 0
	for h := s.rules.Entry; h >= weakestHold; h -= holdEvery {
		r := s.rules
		r.Hold = h
		points = append(points, s.point(r))
		if h >= s.usualHold(r.Entry) {
			usual = len(points) - 1
		}
	}
	smooth(points, 1)
	s.choice.Holds = points
	s.rules.Hold = s.usualHold(s.rules.Entry)
	if s.learns() && points[usual].Cost > s.bearable(points) {
		s.rules.Hold = points[s.plateau(points)].Hold
	}
}
