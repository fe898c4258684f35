// Package calibrate finds the settings that suit a business from a recording of
// its own: the entry and hold thresholds, the dwell and the gap, and the devices
// that are no customers. docs/accuracy.md says how it chooses and why.
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

// WeakestEntry is the weakest entry threshold tried, in dBm. Who is never as
// loud walks in nowhere.
const WeakestEntry = -85

const (
	// loudestEntry is the first entry threshold tried; each dBm from there on is.
	loudestEntry = -45
	// holdEvery is how many dB lie between two hold thresholds tried.
	holdEvery = 3
	// weakestHold is the weakest hold threshold tried: most routers hear nothing
	// below.
	weakestHold = -95
	// holdBelow is how far the hold threshold lies below the entry threshold at
	// least where nothing tells better, as in the default settings.
	holdBelow = 15
	// around is how many dB to either side a threshold is judged with: as much as
	// a pocket or another make of phone changes.
	around = 3
	// latest is how late a walk-in may be told to weigh like a missed one.
	latest = 30 * time.Minute
	// prompt is how late half of the walk-ins may be told beyond the dwell.
	prompt = time.Minute
	// enoughHours is how many empty hours allow three false walk-ins at the limit
	// of one in 100: the least that can show the limit is kept.
	enoughHours = 300
	// fewVisits are so few true visits that one of them moves the figures a lot.
	fewVisits = 20
	// fewHours are too few empty hours to conclude anything from.
	fewHours = 4
)

var (
	dwells = minutes(2, 4, 5, 8, 10)
	gaps   = minutes(16, 20, 24, 30, 36, 40, 46, 50, 60, 70, 80, 90)
)

func minutes(all ...int) []time.Duration {
	ds := make([]time.Duration, len(all))
	for i, m := range all {
		ds[i] = time.Duration(m) * time.Minute
	}
	return ds
}

// Input is what settings are chosen on.
type Input struct {
	Trace *offline.Trace
	Known score.Reference
	Base  business.Settings // what is not searched for, and what stands where nothing tells
	Limit float64           // false walk-ins per 100 empty hours that are borne
	Step  func(done, total int)
}

// Point is one setting and what it comes to.
type Point struct {
	Entry, Hold int32
	Dwell, Gap  time.Duration
	Figures     score.Figures
	// Cost is missed, split, merged and false visits and late walk-ins per true
	// visit, of thresholds with their neighbours' averaged in; 0 without truth.
	Cost float64
	// Allowed says that walk-ins in empty hours keep to the limit, with a margin.
	Allowed bool
}

// Choice is what was chosen and why.
type Choice struct {
	Settings business.Settings
	// Entries are the entry thresholds at the dwell chosen, Dwells the dwells at
	// the entry chosen for each, Holds and Gaps the others at what was chosen
	// before.
	Entries, Dwells, Holds, Gaps []Point
	// Margin is how many dB louder every device might be and the limit still be
	// kept, 0 where too few empty hours are known.
	Margin int

	truth, unheard int // visits
	others         bool
	hours, limit   float64
}

// Why says in sentences what the choice stands on, and what it does not.
func (c Choice) Why() []string {
	var why []string
	if c.unheard > 0 {
		why = append(why, fmt.Sprintf("Of %d true visits the device is never heard; they are left out. Are the address, the key and the times (UTC) right?", c.unheard))
	}
	if c.truth == 0 {
		why = append(why, "No true visits are known here: dwell, gap and hold stay what they were.")
	} else {
		why = append(why, fmt.Sprintf("Chosen on %d true visits: entry is the middle of the thresholds that are as good as the best.", c.truth))
	}
	if c.truth > 0 && c.truth < fewVisits {
		why = append(why, fmt.Sprintf("That is few; write down %d or more.", fewVisits))
	}
	if c.others {
		why = append(why, "Walk-ins of all others may grow no faster than the true visits found: what is more is taken for passers-by.")
	}
	if c.Margin == 0 {
		return append(why, "Too few empty hours are known here to say anything of false walk-ins.")
	}
	return append(why, fmt.Sprintf("%.1f empty hours: at most %g false walk-ins per 100, also if all devices were %d dB louder.", c.hours, c.limit, c.Margin))
}

// Choose searches one setting after the other, entry and dwell, gap, hold, and
// the first again: all at once would fit the recording better and the next one
// worse, and take a hundred times as long. Each is taken from a plateau, where
// its neighbours are as good. It draws no lots: the same recording gives the
// same settings.
func Choose(in Input) (Choice, error) {
	base, err := in.Base.Rules()
	if err != nil {
		return Choice{}, err
	}
	s := &search{Input: in, rules: base}
	s.hear()
	s.total = len(dwells)*(loudestEntry-WeakestEntry+1) + (loudestEntry-weakestHold)/holdEvery + len(gaps)
	if s.learns() {
		s.total *= 2
	}
	s.empty = score.Hours(in.Known.Empty)
	if s.empty >= fewHours {
		s.choice.Margin = margin(s.empty)
	}
	s.entry()
	s.gap()
	s.hold()
	if s.learns() {
		s.entry()
		s.gap()
		s.hold()
	}
	s.choice.Settings = in.Base.With(s.rules)
	s.choice.others = s.usually.Unnamed > 0
	s.choice.truth, s.choice.hours, s.choice.limit = len(s.Known.Truth), s.empty, in.Limit
	return s.choice, s.rules.Validate()
}

// margin is how many dB the limit is tested with: 3, and 3 more for each tenfold
// that the empty hours fall short of enough.
func margin(hours float64) int {
	if hours >= enoughHours {
		return around
	}
	return around + int(math.Ceil(3*math.Log10(enoughHours/max(hours, 1))))
}

type search struct {
	Input
	rules       presence.Rules
	choice      Choice
	empty       float64
	usually     score.Figures // with the settings that the search began with
	done, total int
}

// hear leaves out true visits whose device is never heard in them: no setting finds
// one. Of the others it notes what the usual settings come to.
func (s *search) hear() {
	all := len(s.Known.Truth)
	s.Known.Truth = slices.DeleteFunc(slices.Clone(s.Known.Truth), func(v score.Visit) bool {
		return !s.Trace.Heard(v.Business, v.Device, v.Enter, v.Leave)
	})
	s.choice.unheard = all - len(s.Known.Truth)
	if !s.learns() {
		s.Known.Truth = nil
		return
	}
	s.usually = score.Measure(s.Trace.Visits(s.rules), s.Known, s.rules.MinSpan)
}

// learns says whether true visits are known.
func (s *search) learns() bool { return len(s.Known.Truth) > 0 }

// point measures one setting.
func (s *search) point(r presence.Rules) Point {
	p := Point{Entry: r.Entry, Hold: r.Hold, Dwell: r.MinSpan, Gap: r.Silence, Allowed: true}
	p.Figures = score.Measure(s.Trace.Visits(r), s.Known, r.MinSpan)
	p.Cost = cost(p.Figures) + s.passers(p.Figures)
	s.done++
	if s.Step != nil {
		s.Step(min(s.done, s.total), s.total)
	}
	return p
}

// cost is Point.Cost before the neighbours are averaged in.
func cost(f score.Figures) float64 {
	if f.Visits == nil || f.Visits.True == 0 {
		return 0
	}
	v := f.Visits
	wrong := float64(v.Missed+v.Split+v.Merged+v.False) + f.Timing.Beyond.Weight(latest)
	return wrong / float64(v.True)
}

// passers is how many of the walk-ins of devices that the truth says nothing of are
// likely those of passers-by, per walk-in of the usual settings: what is more than
// with those, and not for the reason that more of the true visits are found.
func (s *search) passers(f score.Figures) float64 {
	if f.Visits == nil || s.usually.Visits.Found == 0 {
		return 0
	}
	found := float64(s.usually.Visits.Found)
	due := float64(s.usually.Unnamed) * max(1, float64(f.Visits.Found)/found)
	return max(0, float64(f.Unnamed)-due) / (float64(s.usually.Unnamed) + found)
}

// smooth averages the costs with those of up to n neighbours on either side.
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

// bearable is the cost up to which a setting counts as good as the best: half a
// visit more, or one in fifty.
func (s *search) bearable(points []Point) float64 {
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

// justify allows a threshold stricter than the usual one, or than the weakest that
// keeps to the limit, only where known people have fewer false walk-ins. That it
// splits fewer visits is no merit of it: who was silent for long does not come in
// again, and who is heard weakly never comes in at all.
func (s *search) justify(points []Point) {
	if !s.learns() {
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

// usualHold is the hold threshold where nothing tells better: what the settings
// had, for who is inside already may well go to the back of the shop, or weaker.
func (s *search) usualHold(entry int32) int32 {
	return max(min(s.Base.Hold, entry-holdBelow), weakestHold)
}

// allow marks the points that keep to the limit, and would if every device were
// louder by the margin. Beyond one that breaks it none is allowed: that fewer
// walk-ins are found at a weaker threshold is visits running together.
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
