// Package offline decides on a recording in process, without a broker or a
// table: what the detect function would tell of it, in a fraction of the time.
// It holds no rule of its own; shared/presence decides.
package offline

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/presence"
)

// Source gives items in the order of their arrival, and io.EOF after the last.
type Source interface {
	Next() (recording.Item, error)
}

// Options says what of a recording is taken.
type Options struct {
	// Business is the one to take of several, "" for all.
	Business events.BusinessID
	// Sensors are those that stand in the store; without any, all are taken.
	Sensors []events.SensorID
	// Loaded is called now and then while the recording is read.
	Loaded func()
}

// Trace is a recording as decisions need it: by device, in the order of arrival.
// Of the sightings of a device within one step of the grid it keeps the first of
// each signal strength, 16 bytes each: the rules are defined on steps, so under
// any thresholds the others add nothing. So memory grows with how many devices
// were heard for how long and not with how often a phone speaks.
type Trace struct {
	// Levels counts the sightings by signal strength: Levels[n] those of -n dBm.
	Levels    [128]int64
	Sightings int64

	devices []device
	quarter map[int64]struct{} // quarters of an hour since 1970 in which anything was heard
}

// Device says whose sightings they are.
type Device struct {
	Business   events.BusinessID
	ID         events.DeviceID
	Randomised bool // the address, as the sightings say
}

// device is a Device and what was heard of it.
type device struct {
	Device
	loudest int8
	heard   []heard
}

// heard is a sighting.
type heard struct {
	seen   int64 // ms since 1970
	minute int32 // since 1970, of the arrival: the partition's clock by then
	rssi   int8
	flags  uint8
}

const (
	associated = 1 << iota
	randomised
)

const (
	// backfilled is how old a login is on arrival that comes from an archive;
	// identify makes no sighting of it.
	backfilled = time.Hour
	// loadedEvery is how many items lie between two calls of Options.Loaded.
	loadedEvery = 5000
	quarterHour = int64(15 * time.Minute / time.Millisecond)
)

// Load reads src to its end. A login at the portal counts as the sighting that
// identify makes of it; of other CRM events no decision on visits depends.
func Load(src Source, o Options) (*Trace, error) {
	l := loader{trace: &Trace{quarter: map[int64]struct{}{}}, index: map[who]int{}}
	for n := 1; ; n++ {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			return l.trace, nil
		}
		if err != nil {
			return nil, err
		}
		l.item(&it, &o)
		if o.Loaded != nil && n%loadedEvery == 0 {
			o.Loaded()
		}
	}
}

// who tells devices apart.
type who struct {
	business events.BusinessID
	id       events.DeviceID
}

// loader fills a Trace.
type loader struct {
	trace  *Trace
	index  map[who]int
	newest []newest // by device
}

// newest is which signal strengths a device was heard with in its newest step:
// bit n of -n dBm, by whether it was associated.
type newest struct {
	step   int64
	levels [2][2]uint64
}

const silent = -128

// first notes a signal strength and says whether it is the first such in step.
func (n *newest) first(step int64, rssi int8, associated bool) bool {
	if step != n.step {
		*n = newest{step: step}
	}
	kind := 0
	if associated {
		kind = 1
	}
	word, bit := &n.levels[kind][-rssi>>6], uint64(1)<<(-rssi&63)
	seen := *word&bit != 0
	*word |= bit
	return !seen
}

func (l *loader) item(it *recording.Item, o *Options) {
	s := it.Sighting
	if o.Business != "" && o.Business != cmp.Or(s.Business, businessOf(it.CRM)) {
		return
	}
	if it.CRM != nil {
		login := it.CRM.Login
		if login == nil || it.ArrivedAt.Sub(login.At) > backfilled {
			return
		}
		s = events.Sighting{
			Business: login.Business, Device: login.Device, SeenAt: login.At,
			Associated: true, Randomised: login.Randomised,
		}
	} else {
		if len(o.Sensors) > 0 && !slices.Contains(o.Sensors, s.Sensor) {
			return
		}
		l.trace.Sightings++
		l.trace.Levels[-s.RSSI]++
		l.trace.quarter[s.SeenAt.UnixMilli()/quarterHour] = struct{}{}
	}
	l.sighting(&s, it.ArrivedAt)
}

func businessOf(e *events.CRMEvent) events.BusinessID {
	if e == nil {
		return ""
	}
	return e.Business()
}

func (l *loader) sighting(s *events.Sighting, arrived time.Time) {
	at := who{s.Business, s.Device}
	i, ok := l.index[at]
	if !ok {
		i = len(l.trace.devices)
		l.index[at] = i
		l.trace.devices = append(l.trace.devices, device{
			Device:  Device{Business: s.Business, ID: s.Device, Randomised: s.Randomised},
			loudest: silent,
		})
		l.newest = append(l.newest, newest{step: -1})
	}
	h := heard{seen: s.SeenAt.UnixMilli(), minute: int32(arrived.Unix() / 60), rssi: int8(s.RSSI)}
	if s.Associated {
		h.flags |= associated
	}
	if s.Randomised {
		h.flags |= randomised
	}
	if !l.newest[i].first(h.seen/presence.Grid.Milliseconds(), h.rssi, s.Associated) {
		return
	}
	d := &l.trace.devices[i]
	d.heard = append(d.heard, h)
	d.loudest = max(d.loudest, h.rssi)
}

// Cut gives what arrived at from or later and before to, a zero time being no
// bound.
// Levels and Sightings stay those of the whole.
func (t *Trace) Cut(from, to time.Time) *Trace {
	first, end := int32(0), int32(1<<31-1)
	if !from.IsZero() {
		first = int32(from.Unix() / 60)
	}
	if !to.IsZero() {
		end = int32(to.Unix() / 60)
	}
	part := &Trace{Levels: t.Levels, Sightings: t.Sightings, quarter: map[int64]struct{}{}}
	for q := range t.quarter {
		if minute := q * 15; minute+14 >= int64(first) && minute < int64(end) {
			part.quarter[q] = struct{}{}
		}
	}
	at := func(h heard, minute int32) int { return cmp.Compare(h.minute, minute) }
	for _, d := range t.devices {
		lo, _ := slices.BinarySearchFunc(d.heard, first, at)
		hi, _ := slices.BinarySearchFunc(d.heard, end, at)
		if lo == hi {
			continue
		}
		d.heard, d.loudest = d.heard[lo:hi:hi], silent
		for _, h := range d.heard {
			d.loudest = max(d.loudest, h.rssi)
		}
		part.devices = append(part.devices, d)
	}
	return part
}

// Without gives the trace without some devices.
func (t *Trace) Without(gone func(Device) bool) *Trace {
	part := *t
	part.devices = nil
	for _, d := range t.devices {
		if !gone(d.Device) {
			part.devices = append(part.devices, d)
		}
	}
	return &part
}

// Heard says whether a device was heard between two moments, however weakly, and
// give or take a step of the grid.
func (t *Trace) Heard(b events.BusinessID, id events.DeviceID, from, to time.Time) bool {
	first, last := from.Add(-presence.Grid).UnixMilli(), to.Add(presence.Grid).UnixMilli()
	for i := range t.devices {
		if d := &t.devices[i]; d.ID == id && d.Business == b {
			return slices.ContainsFunc(d.heard, func(h heard) bool { return h.seen >= first && h.seen <= last })
		}
	}
	return false
}

// Businesses gives whose sightings the trace holds, in order.
func (t *Trace) Businesses() []events.BusinessID {
	seen := map[events.BusinessID]struct{}{}
	for i := range t.devices {
		seen[t.devices[i].Business] = struct{}{}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Recorded gives the stretches of time in which the recording went on, in order.
// Where nothing is heard for longer than pause, it is taken to have stopped.
// Stretches begin and end on quarters of an hour.
func (t *Trace) Recorded(pause time.Duration) []score.Span {
	quarters := make([]int64, 0, len(t.quarter))
	for q := range t.quarter {
		quarters = append(quarters, q)
	}
	slices.Sort(quarters)
	var spans []score.Span
	for _, q := range quarters {
		from, to := time.UnixMilli(q*quarterHour).UTC(), time.UnixMilli((q+1)*quarterHour).UTC()
		if n := len(spans); n > 0 && from.Sub(spans[n-1].To) <= pause {
			spans[n-1].To = to
			continue
		}
		spans = append(spans, score.Span{From: from, To: to})
	}
	return spans
}

// Hours gives for every device the hours since 1970 in which it was heard at
// level or louder, in order, each once. Devices that never were are left out.
func (t *Trace) Hours(level events.RSSI, visit func(Device, []int64)) {
	var hours []int64
	for i := range t.devices {
		d := &t.devices[i]
		if events.RSSI(d.loudest) < level {
			continue
		}
		hours = hours[:0]
		for _, h := range d.heard {
			if events.RSSI(h.rssi) >= level {
				hours = append(hours, h.seen/time.Hour.Milliseconds())
			}
		}
		slices.Sort(hours)
		hours = slices.Compact(hours)
		visit(d.Device, hours)
	}
}
