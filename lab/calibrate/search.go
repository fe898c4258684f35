// Package calibrate chooses the settings of a business from a recording of that
// business: entry and hold thresholds, dwell and session gap, and the resident
// devices. docs/accuracy.md describes the method and its reasons.
//
// Start reading at Choose, which searches the settings, and at Residents, which
// lists the devices. pick.go holds the choice from measured points, picture.go
// the chart.
package calibrate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"footfall/lab/offline"
	"footfall/lab/score"
	"footfall/shared/business"
	"footfall/shared/presence"
)

// WeakestEntry is the weakest entry threshold tried, in dBm. A device that is
// never as loud has no walk-in under any setting.
const WeakestEntry = -85

const (
	// loudestEntry is the loudest entry threshold tried, in dBm. Every dBm from
	// it down to WeakestEntry is tried.
	loudestEntry = -45
	// holdEvery is the distance in dB between two hold thresholds tried.
	holdEvery = 3
	// weakestHold is the weakest hold threshold tried, in dBm: most routers
	// hear nothing below.
	weakestHold = -95
	// holdBelow is the least distance in dB of the hold threshold below the
	// entry threshold if no measurement decides, as in the default settings.
	holdBelow = 15
	// around is the number of dB to either side with which a threshold is
	// judged: a pocket or another make of phone changes as much.
	around = 3
	// latest is the delay at which a late walk-in weighs as much as a missed
	// one.
	latest = 30 * time.Minute
	// prompt is the delay beyond the dwell within which half of the walk-ins
	// must be confirmed.
	prompt = time.Minute
	// enoughHours is the number of empty hours in which a limit of one per 100
	// allows three false walk-ins: the least that can show that the limit is
	// kept.
	enoughHours = 300
	// fewVisits is a number of true visits below which one visit moves the
	// figures a lot.
	fewVisits = 20
	// fewHours is a number of empty hours below which nothing can be concluded.
	fewHours = 4
)

var (
	dwells = minutes(2, 4, 5, 8, 10)
	gaps   = minutes(16, 20, 24, 30, 36, 40, 46, 50, 60, 70, 80, 90)
)

// minutes converts whole minutes to durations.
func minutes(all ...int) []time.Duration {
	ds := make([]time.Duration, len(all))
	for i, m := range all {
		ds[i] = time.Duration(m) * time.Minute
	}
	return ds
}

// Input is a recording, the known truth about it, and the bounds of the search.
type Input struct {
	Trace *offline.Trace
	Known score.Reference
	Base  business.Settings // settings that are kept unless a measurement decides otherwise
	Limit float64           // tolerated false walk-ins per 100 empty hours
	Step  func(done, total int)
}

// Point is one combination of settings and its figures.
type Point struct {
	Entry, Hold int32
	Dwell, Gap  time.Duration
	Figures     score.Figures
	// Cost is the number of missed, split, merged and false visits and weighted
	// late walk-ins, per true visit; for thresholds averaged with the
	// neighbours. It is 0 without truth.
	Cost float64
	// Allowed reports whether the walk-ins in empty hours keep to the limit,
	// with a margin.
	Allowed bool
}

// Choice holds the chosen settings and the measurements behind the choice.
type Choice struct {
	Settings business.Settings
	// Entries holds the entry thresholds at the chosen dwell, Dwells the
	// dwells, each at its own best entry threshold, Holds and Gaps the others
	// at the settings chosen before them.
	Entries, Dwells, Holds, Gaps []Point
	// Margin is the number of dB by which every device might be louder without
	// breaking the limit; 0 if too few empty hours are known.
	Margin int

	truth, unheard int // true visits used, and those left out as never heard
	others         bool
	hours, limit   float64
}

// Why returns sentences for the operator that state on which data the choice is
// based and which data was missing.
func (c Choice) Why() []string {
	var why []string
	if c.unheard > 0 {
		why = append(why, fmt.Sprintf("The devices of %d true visits are never heard during the visit; these visits are left out. Check the addresses, the key and the times (UTC).", c.unheard))
	}
	// True visits.
	if c.truth == 0 {
		why = append(why, "No true visits are known: dwell, gap and hold keep their values.")
	} else {
		why = append(why, fmt.Sprintf("Chosen on %d true visits: entry is the middle of the thresholds that are as good as the best.", c.truth))
	}
	if c.truth > 0 && c.truth < fewVisits {
		why = append(why, fmt.Sprintf("These are few true visits; record %d or more.", fewVisits))
	}
	if c.others {
		why = append(why, "Walk-ins of devices outside the truth may grow no faster than the true visits found: any more are taken for passers-by.")
	}
	// Empty hours.
	if c.Margin == 0 {
		return append(why, "Too few empty hours are known to measure false walk-ins.")
	}
	return append(why, fmt.Sprintf("%.1f empty hours: at most %g false walk-ins per 100, even if all devices were %d dB louder.", c.hours, c.limit, c.Margin))
}

// Choose searches one setting after the other: entry and dwell, then gap, then
// hold, and with truth all of these once more. A search over all settings at
// once would fit the recording better and the next recording worse, and take a
// hundred times as long. Each setting is taken from a plateau on which its
// neighbours are as good. Choose uses no random numbers: the same recording
// gives the same settings. An error means that the base settings or the chosen
// rules are invalid.
func Choose(in Input) (Choice, error) {
	base, err := in.Base.Rules()
	if err != nil {
		return Choice{}, err
	}
	s := &search{Input: in, rules: base}
	s.dropUnheard()
	// The number of points to measure, for progress.
	s.total = len(dwells)*(loudestEntry-WeakestEntry+1) + (loudestEntry-weakestHold)/holdEvery + len(gaps)
	if s.hasTruth() {
		s.total *= 2
	}
	s.empty = score.Hours(in.Known.Empty)
	if s.empty >= fewHours {
		s.choice.Margin = margin(s.empty)
	}
	// Search. The second round starts from the gap and hold of the first.
	s.entry()
	s.gap()
	s.hold()
	if s.hasTruth() {
		s.entry()
		s.gap()
		s.hold()
	}
	// Keep the facts that Why reports.
	s.choice.Settings = in.Base.With(s.rules)
	s.choice.others = s.baseline.Unnamed > 0
	s.choice.truth, s.choice.hours, s.choice.limit = len(s.Known.Truth), s.empty, in.Limit
	return s.choice, s.rules.Validate()
}

// margin returns the number of dB with which the limit is tested: 3, and 3 more
// for each factor of ten by which the empty hours fall short of enoughHours.
func margin(hours float64) int {
	if hours >= enoughHours {
		return around
	}
	return around + int(math.Ceil(3*math.Log10(enoughHours/max(hours, 1))))
}

// search is the state of a run of Choose.
type search struct {
	Input
	rules       presence.Rules
	choice      Choice
	empty       float64
	baseline    score.Figures // figures of the base settings
	done, total int
}

// dropUnheard removes the true visits during which the device is never heard,
// since no setting can find them, and measures the base settings on the others.
func (s *search) dropUnheard() {
	all := len(s.Known.Truth)
	s.Known.Truth = slices.DeleteFunc(slices.Clone(s.Known.Truth), func(v score.Visit) bool {
		return !s.Trace.Heard(v.Business, v.Device, v.Enter, v.Leave)
	})
	s.choice.unheard = all - len(s.Known.Truth)
	if !s.hasTruth() {
		s.Known.Truth = nil
		return
	}
	s.baseline = score.Measure(s.Trace.Visits(s.rules), s.Known, score.EqualDwell(s.rules.MinSpan))
}

// hasTruth reports whether true visits are known.
func (s *search) hasTruth() bool { return len(s.Known.Truth) > 0 }

// point measures one combination of settings.
func (s *search) point(r presence.Rules) Point {
	p := Point{Entry: r.Entry, Hold: r.Hold, Dwell: r.MinSpan, Gap: r.Silence, Allowed: true}
	p.Figures = score.Measure(s.Trace.Visits(r), s.Known, score.EqualDwell(r.MinSpan))
	p.Cost = cost(p.Figures) + s.excess(p.Figures)
	s.done++
	if s.Step != nil {
		s.Step(min(s.done, s.total), s.total)
	}
	return p
}

// cost returns the errors per true visit, before neighbours are averaged in.
func cost(f score.Figures) float64 {
	if f.Visits == nil || f.Visits.True == 0 {
		return 0
	}
	v := f.Visits
	wrong := float64(v.Missed+v.Split+v.Merged+v.False) + f.Timing.Beyond.Weight(latest)
	return wrong / float64(v.True)
}

// excess estimates how many walk-ins of devices outside the truth are those of
// passers-by, per walk-in of the base settings: all that exceed the number
// under the base settings, scaled by the growth of the true visits found.
func (s *search) excess(f score.Figures) float64 {
	if f.Visits == nil || s.baseline.Visits.Found == 0 {
		return 0
	}
	found := float64(s.baseline.Visits.Found)
	expected := float64(s.baseline.Unnamed) * max(1, float64(f.Visits.Found)/found)
	return max(0, float64(f.Unnamed)-expected) / (float64(s.baseline.Unnamed) + found)
}

// smooth replaces each cost by its average with up to n neighbours on either
// side.
func smooth(points []Point, n int) {
	costs := make([]float64, len(points))
	for i := range points {
		lo, hi := max(0, i-n), min(len(points), i+n+1)
		for _, p := range points[lo:hi] {
			costs[i] += p.Cost / float64(hi-lo)
		}
	}
	for i := range points {
		points[i].Cost = costs[i]
	}
}

// tolerance returns the cost up to which a setting counts as good as the best:
// half a visit more than the best, or one in fifty.
func (s *search) tolerance(points []Point) float64 {
	best := math.Inf(1)
	for _, p := range points {
		if p.Allowed {
			best = min(best, p.Cost)
		}
	}
	return best + max(0.02, 0.5/float64(max(len(s.Known.Truth), 1)))
}

// entries measures every entry threshold at a dwell, the loudest first.
func (s *search) entries(dwell time.Duration) []Point {
	var points []Point
	for e := int32(loudestEntry); e >= WeakestEntry; e-- {
		r := s.rules
		r.Entry, r.Hold, r.MinSpan = e, s.usualHold(e), dwell
		points = append(points, s.point(r))
	}
	smooth(points, around)
	s.allow(points)
	s.justify(points)
	return points
}

// justify allows a threshold stricter than the base one, or than the weakest
// that keeps to the limit, only if it reduces the false walk-ins of devices in
// the truth. Fewer split visits are no reason: at a strict threshold a phone
// that was silent for long does not open a second visit, but a phone that is
// heard weakly opens none at all.
func (s *search) justify(points []Point) {
	if !s.hasTruth() {
		return
	}
	from := s.usual()
	for from > 0 && !points[from].Allowed {
		from--
	}
	for i := range points[:from] {
		p := &points[i]
		p.Allowed = p.Allowed && p.Figures.Visits.False < points[from].Figures.Visits.False
	}
}

// usualHold returns the hold threshold if no measurement decides: the one of
// the base settings, or weaker, at least holdBelow under entry, since a visitor
// may go to the back of the shop.
func (s *search) usualHold(entry int32) int32 {
	return max(min(s.Base.Hold, entry-holdBelow), weakestHold)
}

// allow marks the points that keep to the limit even if every device were
// louder by the margin. No point weaker than the first that breaks the limit is
// allowed: if a weaker threshold finds fewer walk-ins, visits have run
// together.
func (s *search) allow(points []Point) {
	if s.empty < fewHours {
		return
	}
	broken := len(points)
	for i, p := range points {
		if p.Figures.Empty.Per100() > s.Limit {
			broken = i
			break
		}
	}
	for i := range points {
		points[i].Allowed = i+s.choice.Margin < broken || broken == len(points)
	}
}
