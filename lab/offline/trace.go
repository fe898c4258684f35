// Package offline decides on a recording in process, without a broker or a
// table. It finds the visits that the detect function would emit for the
// recording, in a fraction of the time. The package holds no rule of its own:
// shared/presence decides.
//
// Start reading at Load, which reads a recording into a Trace, and at
// Trace.Visits, which decides on it under given rules.
package offline

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Source is a stream of items in the order of their arrival. Next returns
// io.EOF after the last item.
type Source interface {
	Next() (recording.Item, error)
}

// Options selects the part of a recording to load.
type Options struct {
	// Business is the only business to load, or "" for all.
	Business events.BusinessID
	// Inside reports whether a sensor is inside the store. If nil, the sightings of
	// all sensors are loaded.
	Inside func(events.BusinessID, events.SensorID) bool
	// Loaded, if set, is called after every few thousand items, for progress.
	Loaded func()
}

// Trace holds a recording in the form that decisions need: by device, in the
// order of arrival, 16 bytes for each sighting.
type Trace struct {
	// Levels counts the sightings by signal strength: Levels[n] is the number
	// at -n dBm.
	Levels    [128]int64
	Sightings int64

	devices []device
	routers []uint32           // RouterHash of the routers that report sessions
	quarter map[int64]struct{} // quarters of an hour since 1970 in which anything was heard
}

// Device identifies a device of a business.
type Device struct {
	Business   events.BusinessID
	ID         events.DeviceID
	Randomised bool // whether the address is randomised, from the first sighting
}

// device is a Device and its sightings in the order of arrival.
type device struct {
	Device
	loudest int8
	heard   []heard
}

// silent is below every signal strength.
const silent = -128

// heard is one sighting.
type heard struct {
	seen   int64  // ms since 1970
	minute int32  // of the arrival, in minutes since 1970: the partition's watermark at that time
	router uint16 // index into Trace.routers, if the flags hold a report
	rssi   int8
	flags  uint8
}

const (
	associated = 1 << iota
	randomised
	reportBits = iota // the bits from here on are a presence.Report
)

const (
	// backfilled is the age on arrival from which a login counts as one from an
	// archive. Stage identify makes no sighting of such a login.
	backfilled = time.Hour
	// loadedEvery is the number of items between two calls of Options.Loaded.
	loadedEvery = 5000
	quarterHour = int64(15 * time.Minute / time.Millisecond)
)

// Load reads src to its end and returns the trace. A login at the portal counts
// as the sighting that stage identify makes of it. Other CRM events are
// ignored, since no decision on visits depends on them. An error is the error
// of src.
func Load(src Source, o Options) (*Trace, error) {
	l := loader{trace: &Trace{quarter: map[int64]struct{}{}}, index: map[deviceKey]int{}, routers: map[uint32]uint16{}}
	for n := 1; ; n++ {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			l.release()
			return l.trace, nil
		}
		if err != nil {
			return nil, err
		}
		l.add(&it, &o)
		if o.Loaded != nil && n%loadedEvery == 0 {
			o.Loaded()
		}
	}
}

// deviceKey is the map key of a device.
type deviceKey struct {
	business events.BusinessID
	id       events.DeviceID
}

// loader fills a Trace.
type loader struct {
	trace   *Trace
	index   map[deviceKey]int
	routers map[uint32]uint16 // index into Trace.routers
	logins  []login           // of the present minute
}

// login is the sighting that stage identify makes of a login.
type login struct {
	sighting events.Sighting
	arrived  time.Time
}

// release adds the sightings of the logins of the minute that is over. In the
// pipeline a login passes through identify, so its sighting follows those that
// arrive in the same minute.
func (l *loader) release() {
	for i := range l.logins {
		l.sighting(&l.logins[i].sighting, l.logins[i].arrived)
	}
	l.logins = l.logins[:0]
}

// add adds an item to the trace if the options select it.
func (l *loader) add(it *recording.Item, o *Options) {
	if n := len(l.logins); n > 0 && it.ArrivedAt.Unix()/60 != l.logins[n-1].arrived.Unix()/60 {
		l.release()
	}
	s := it.Sighting
	if o.Business != "" && o.Business != cmp.Or(s.Business, businessOf(it.CRM)) {
		return
	}
	if it.CRM != nil {
		// A login becomes an associated sighting, as in stage identify. It is
		// not counted in Levels and Sightings.
		e := it.CRM.Login
		if e == nil || it.ArrivedAt.Sub(e.At) > backfilled {
			return
		}
		l.logins = append(l.logins, login{events.Sighting{
			Business: e.Business, Device: e.Device, SeenAt: e.At,
			Associated: true, Randomised: e.Randomised,
		}, it.ArrivedAt})
		return
	}
	// A sighting counts if its sensor is in the store.
	if o.Inside != nil && !o.Inside(s.Business, s.Sensor) {
		return
	}
	l.trace.Sightings++
	l.trace.Levels[-s.RSSI]++
	l.trace.quarter[s.SeenAt.UnixMilli()/quarterHour] = struct{}{}
	l.sighting(&s, it.ArrivedAt)
}

// businessOf returns the business of e, or "" if e is nil.
func businessOf(e *events.CRMEvent) events.BusinessID {
	if e == nil {
		return ""
	}
	return e.Business()
}

// sighting adds a sighting to its device.
func (l *loader) sighting(s *events.Sighting, arrived time.Time) {
	at := deviceKey{s.Business, s.Device}
	// The first sighting of a device makes its entry.
	i, ok := l.index[at]
	if !ok {
		i = len(l.trace.devices)
		l.index[at] = i
		l.trace.devices = append(l.trace.devices, device{
			Device:  Device{Business: s.Business, ID: s.Device, Randomised: s.Randomised},
			loudest: silent,
		})
	}
	in := stage.PresenceSighting(s)
	h := heard{seen: int64(in.SeenAt), minute: int32(arrived.Unix() / 60), rssi: int8(in.RSSI), flags: uint8(in.Report) << reportBits}
	if in.Associated {
		h.flags |= associated
	}
	if in.Randomised {
		h.flags |= randomised
	}
	if in.Report != presence.NoReport {
		h.router = l.router(in.Router)
	}
	d := &l.trace.devices[i]
	d.heard = append(d.heard, h)
	d.loudest = max(d.loudest, h.rssi)
}

// router returns the index of a router that reports sessions. A recording of more
// than 65,535 such routers is of many stores: there the last index stands for all
// others, and only one device that roams among those could be decided otherwise.
func (l *loader) router(hash uint32) uint16 {
	n, ok := l.routers[hash]
	if !ok {
		n = uint16(min(len(l.trace.routers), math.MaxUint16))
		l.routers[hash] = n
		if int(n) == len(l.trace.routers) {
			l.trace.routers = append(l.trace.routers, hash)
		}
	}
	return n
}

// sighting returns what the rules read of a sighting.
func (t *Trace) sighting(h *heard) presence.Sighting {
	in := presence.Sighting{
		SeenAt: presence.Instant(h.seen), RSSI: int32(h.rssi),
		Associated: h.flags&associated != 0, Randomised: h.flags&randomised != 0,
		Report: presence.Report(h.flags >> reportBits),
	}
	if in.Report != presence.NoReport {
		in.Router = t.routers[h.router]
	}
	return in
}

// Cut returns the part of the trace that arrived at from or later and before
// to; a zero time is no bound. Levels and Sightings stay those of the whole
// trace.
func (t *Trace) Cut(from, to time.Time) *Trace {
	// Bounds are minutes of arrival; the quarters of an hour are cut to them.
	first, end := int32(0), int32(1<<31-1)
	if !from.IsZero() {
		first = int32(from.Unix() / 60)
	}
	if !to.IsZero() {
		end = int32(to.Unix() / 60)
	}
	part := &Trace{Levels: t.Levels, Sightings: t.Sightings, routers: t.routers, quarter: map[int64]struct{}{}}
	for q := range t.quarter {
		if minute := q * 15; minute+14 >= int64(first) && minute < int64(end) {
			part.quarter[q] = struct{}{}
		}
	}
	// Sightings of a device are in the order of arrival: cut them by binary
	// search.
	byMinute := func(h heard, minute int32) int { return cmp.Compare(h.minute, minute) }
	for _, d := range t.devices {
		lo, _ := slices.BinarySearchFunc(d.heard, first, byMinute)
		hi, _ := slices.BinarySearchFunc(d.heard, end, byMinute)
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

// Without returns the trace without the devices for which gone returns true.
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

// Heard reports whether a device was heard, at any signal strength, between
// from and to, give or take one step of the grid.
func (t *Trace) Heard(b events.BusinessID, id events.DeviceID, from, to time.Time) bool {
	first, last := from.Add(-presence.Grid).UnixMilli(), to.Add(presence.Grid).UnixMilli()
	for i := range t.devices {
		if d := &t.devices[i]; d.ID == id && d.Business == b {
			return slices.ContainsFunc(d.heard, func(h heard) bool { return h.seen >= first && h.seen <= last })
		}
	}
	return false
}

// Businesses returns the businesses in the trace, sorted.
func (t *Trace) Businesses() []events.BusinessID {
	seen := map[events.BusinessID]struct{}{}
	for i := range t.devices {
		seen[t.devices[i].Business] = struct{}{}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Recorded returns the spans of time during which the recording ran, in order.
// If nothing is heard for longer than pause, the recording is taken to have
// stopped. Spans begin and end on quarters of an hour.
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

// Hours calls each for every device that was heard at level or louder, with the
// hours since 1970 in which it was, in order, each once. The slice is reused
// after the call.
func (t *Trace) Hours(level events.RSSI, each func(Device, []int64)) {
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
		each(d.Device, hours)
	}
}
