package simtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// item is one input from outside: a record, a tick or a change of a base count.
type item struct {
	at     time.Time // of the arrival
	tick   bool      // run the stage tick, in place of a record
	record stage.Record
	poison events.Reason // with which a stage must send the record to the dead letters; "" for a good record
	// login is the time of a live CRM event. Items that arrive more than a minute
	// later wait until identify has processed the event: a login becomes a
	// sighting too, and sightings may be out of order by two minutes.
	login time.Time
	base  *baseChange // run the tool that sets a base count, in place of a record
}

// notOfKey as the partition of an item means a partition that never was the one
// of the record's key.
const notOfKey int32 = -2

// baseChange is a new base count of a contact.
type baseChange struct {
	key  stage.CountKey
	base int64
}

// script draws the input of a run: some hours of three to five devices at two
// businesses. Its random source is apart from the world's, so a seed has the same
// input in most modes.
type script struct {
	random    *rand.Rand
	items     []item
	begin     time.Time
	end       time.Time // of the latest item
	devices   []simDevice
	crmEvents int                     // drawn so far
	ended     map[stage.CountKey]bool // contacts that were deleted or merged
}

// simDevice is a device at one business, with the contacts that log in with it.
type simDevice struct {
	carriedWith *simDevice // another device of the same person, or nil
	stays       []span     // the times in which the device is heard
	business    events.BusinessID
	device      events.DeviceID
	contacts    []events.ContactID // the first logs in mostly; a merge is into the second
	randomised  bool
}

// span is the time between two moments.
type span struct{ from, to time.Time }

// minutes draws a duration between from and to minutes, in whole seconds.
func (s *script) minutes(from, to int) time.Duration {
	return time.Duration(from*60+s.random.IntN((to-from)*60+1)) * time.Second
}

// chance reports true for 1 draw in n.
func (s *script) chance(n int) bool { return s.random.IntN(n) == 0 }

// newScript draws the devices.
func newScript(random *rand.Rand) *script {
	s := &script{random: random, begin: inputStart, ended: map[stage.CountKey]bool{}}
	if s.chance(3) { // 90 minutes before a midnight that ends a month
		s.begin = time.Date(2026, time.March, 31, 22, 30, 0, 0, time.UTC)
	}
	n := 3 + random.IntN(3)
	s.devices = make([]simDevice, 0, n) // with its final capacity, since devices point to each other
	for i := range n {
		b := events.BusinessID("b0")
		if i > 0 && s.chance(3) {
			b = "b1"
		}
		d := simDevice{business: b, device: events.DeviceID(fmt.Sprint("d", i)), randomised: s.chance(5)}
		d.contacts = append(d.contacts, events.ContactID("c"+string(rune('0'+random.IntN(3)))), events.ContactID("x"+string(rune('0'+random.IntN(2)))))
		// The person with the device before may carry this one too.
		if i > 0 && s.devices[i-1].carriedWith == nil && !s.chance(3) {
			d.carriedWith = &s.devices[i-1]
			d.business, d.contacts = d.carriedWith.business, d.carriedWith.contacts
		}
		s.devices = append(s.devices, d)
	}
	return s
}

// drawHours draws the items that arrive in the hours from begin on, sorted by
// arrival. The last ticks end every visit.
func (s *script) drawHours(begin time.Time) []item {
	s.items, s.begin, s.end = nil, begin, begin.Add(time.Hour)
	for i := range s.devices {
		s.drawVisits(&s.devices[i])
	}
	s.drawCRM()
	for range s.random.IntN(3) {
		s.drawPoison()
	}
	// Ticks during the input, and ticks after it by which every visit ends.
	for at := begin; at.Before(s.end); at = at.Add(15 * time.Minute) {
		s.addTick(at)
	}
	for _, after := range []time.Duration{0, 20 * time.Minute, 50 * time.Minute, 90 * time.Minute} {
		s.addTick(s.end.Add(after))
	}
	s.end = s.end.Add(90 * time.Minute)
	slices.SortStableFunc(s.items, func(a, b item) int { return cmp.Compare(a.at.UnixMilli(), b.at.UnixMilli()) })
	return s.items
}

// addTick adds a run of the stage tick.
func (s *script) addTick(at time.Time) { s.items = append(s.items, item{at: at, tick: true}) }

// drawVisits draws the visits of one device.
func (s *script) drawVisits(d *simDevice) {
	d.stays = nil
	if d.carriedWith != nil {
		for _, stay := range d.carriedWith.stays {
			s.drawBeside(d, stay)
		}
		return
	}
	at := s.begin.Add(s.minutes(2, 30))
	for range s.random.IntN(4) {
		at = s.drawVisit(d, at, 2+s.random.IntN(3)).Add([]time.Duration{s.minutes(8, 30), s.minutes(38, 100)}[s.random.IntN(2)])
	}
}

// drawVisit draws a visit of n sightings and returns the time at which the next
// sighting would be.
func (s *script) drawVisit(d *simDevice, at time.Time, n int) time.Time {
	associated, stay := s.chance(4), span{at, at}
	if s.chance(5) {
		return s.drawSession(d, at)
	}
	for range n {
		s.drawSighting(d, at, associated)
		stay.to = at
		at = at.Add(s.minutes(2, 9))
	}
	d.stays = append(d.stays, stay)
	return at
}

// drawSession draws a visit that a router reports as a session, which may be silent
// for longer than the session gap, and returns the time at which the next sighting
// would be. The reports arrive in order, and some arrive twice.
func (s *script) drawSession(d *simDevice, at time.Time) time.Time {
	stay, key := span{at, at}, events.DeviceKey(d.business, d.device)
	for _, report := range []events.Session{events.SessionJoined, events.SessionAlive, events.SessionLeft} {
		if report == events.SessionAlive && s.chance(2) {
			continue
		}
		seen := events.Sighting{
			Business: d.business, Sensor: "door", Device: d.device, SeenAt: at,
			RSSI: -85, Associated: true, Randomised: d.randomised, Session: report,
		}
		if report == events.SessionJoined {
			seen.RSSI = 0
		}
		s.add(at, events.Sightings, key, &seen)
		if s.chance(8) {
			s.add(at.Add(time.Second), events.Sightings, key, &seen)
		}
		stay.to = at
		at = at.Add(s.minutes(2, 25))
	}
	d.stays = append(d.stays, stay)
	return at
}

// drawBeside draws a visit of the other device of a person, or none. The visit
// begins before, within, at the very end of, or after the stay of the first device.
func (s *script) drawBeside(d *simDevice, stay span) {
	at := stay.from
	switch s.random.IntN(6) {
	case 0: // the other device is not heard
		return
	case 1: // up to eight minutes before
		at = at.Add(-s.minutes(0, 8))
	case 2: // within two minutes of the end
		at = stay.to.Add(time.Duration(s.random.IntN(5)-2) * time.Minute)
	case 3: // after the last sighting, but before the end of the first visit is known
		at = stay.to.Add(s.minutes(4, 34))
	default: // within
		at = at.Add(time.Duration(s.random.Int64N(int64(stay.to.Sub(at) + time.Second))))
	}
	// The former visit of this device must be over.
	if n := len(d.stays); n > 0 && at.Before(d.stays[n-1].to.Add(2*time.Minute)) {
		return
	}
	s.drawVisit(d, later(at, s.begin.Add(3*time.Minute)), 3+s.random.IntN(3))
}

// drawSighting draws a sighting, which may arrive a little late, very late, or
// twice.
func (s *script) drawSighting(d *simDevice, at time.Time, associated bool) {
	seen := events.Sighting{
		Business: d.business, Sensor: "door", Device: d.device, SeenAt: at,
		RSSI: []events.RSSI{-50, -60, -70, -80, -90}[min(4, s.random.IntN(12)/2)], Associated: associated, Randomised: d.randomised,
	}
	// A quarter of the sightings arrives up to a minute late, one in twelve more than
	// an hour late.
	arrival := at
	switch s.random.IntN(12) {
	case 0, 1, 2:
		arrival = at.Add(s.minutes(0, 1))
	case 3:
		arrival = at.Add(s.minutes(70, 90))
	}
	key := events.DeviceKey(d.business, d.device)
	s.add(arrival, events.Sightings, key, &seen)
	if s.chance(8) {
		s.add(arrival.Add(s.minutes(0, 1)), events.Sightings, key, &seen)
	}
	s.end = later(s.end, arrival)
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// drawCRM draws logins, merges and deletions, live and from a backfill.
func (s *script) drawCRM() {
	for i := range 1 + s.random.IntN(5) + len(s.devices) {
		d := &s.devices[s.random.IntN(len(s.devices))]
		// The first events are mostly one for each device of a person with two.
		if i < len(s.devices) {
			if d = &s.devices[i]; d.carriedWith == nil && (i+1 == len(s.devices) || s.devices[i+1].carriedWith == nil) || s.chance(4) {
				continue
			}
		}
		// The milliseconds keep two events from having the same time.
		s.crmEvents++
		at := s.begin.Add(s.minutes(-20, 200) + time.Duration(s.crmEvents)*time.Millisecond)
		c := d.contacts[s.random.IntN(4)/3]
		e := s.drawCRMEvent(d, c, at)
		// Old events, and some others, come from the backfill.
		if s.chance(3) || at.Before(s.begin.Add(2*time.Minute)) {
			s.add(later(at, s.begin).Add(s.minutes(0, 90)), events.CRMEventsBackfill, events.BusinessKey(d.business), e)
			continue
		}
		// The others are live; some arrive again later.
		s.add(at, events.CRMEvents, events.BusinessKey(d.business), e)
		s.items[len(s.items)-1].login = at
		if s.chance(6) {
			s.add(at.Add(s.minutes(70, 90)), events.CRMEvents, events.BusinessKey(d.business), e)
		}
		s.end = later(s.end, at)
	}
}

// drawCRMEvent draws a login mostly. A contact is deleted or merged once at most.
func (s *script) drawCRMEvent(d *simDevice, c events.ContactID, at time.Time) any {
	kind, key := s.random.IntN(8), stage.CountKey{Business: d.business, Contact: c}
	if kind < 2 && s.ended[key] {
		kind = 7 // a login
	}
	switch {
	case kind == 0:
		s.ended[key] = true
		return &events.ContactDeleted{Business: d.business, Contact: c, At: at}
	case kind == 1 && c == d.contacts[1]:
		return &events.ContactChanged{Business: d.business, Contact: c, At: at}
	case kind == 1:
		s.ended[key] = true
		return &events.ContactChanged{Business: d.business, Contact: c, MergedInto: d.contacts[1], At: at}
	default:
		return &events.PortalLogin{Business: d.business, Device: d.device, Contact: c, At: at, Randomised: d.randomised}
	}
}

// add appends a record to the items. Some sightings are JSON, as foreign producers
// send them.
func (s *script) add(at time.Time, topic string, key []byte, event any) {
	value, err := events.Encode(nil, event)
	if _, foreign := event.(*events.Sighting); foreign && s.chance(6) {
		value, err = json.Marshal(event)
	}
	if err != nil {
		panic(err) // a mistake of this package
	}
	s.items = append(s.items, item{at: at, record: stage.Record{
		Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value, Timestamp: at,
	}})
	s.end = later(s.end, at)
}

// drawPoison adds a record that a stage must send to the dead letters.
func (s *script) drawPoison() {
	d := &s.devices[0]
	at := s.begin.Add(s.minutes(20, 80)) // a partition that was added may not have the first tick
	key := events.DeviceKey(d.business, d.device)
	good := &events.Sighting{Business: d.business, Sensor: "door", Device: d.device, SeenAt: at, RSSI: -60}
	// Draw the mistake. The record is good but for the mistake.
	poison := events.Undecodable
	switch s.random.IntN(7) {
	case 0: // three days ahead of the watermark
		good.SeenAt = at.Add(72 * time.Hour)
		s.add(at, events.Sightings, key, good)
		poison = events.AheadOfWatermark
	case 1: // the key of another device
		s.add(at, events.Sightings, []byte("b9/other"), good)
		poison = events.KeyMismatch
	case 2: // in the partition of other keys
		s.add(at, events.Sightings, key, good)
		s.items[len(s.items)-1].record.Partition = notOfKey
		poison = events.WrongPartition
	case 3: // a tick two years ahead of its timestamp
		s.add(at, events.Sightings, []byte("tick"), &events.Tick{At: at.AddDate(2, 0, 0)})
		s.items[len(s.items)-1].record.Partition = int32(s.random.IntN(2))
		poison = events.AheadOfWatermark
	default: // bytes that do not decode, or no value, on one of the other topics
		topic := []string{events.CRMEvents, events.WalkIns, events.VisitsEnded, events.EnrichedWalkIns}[s.random.IntN(4)]
		s.add(at, topic, key, good)
		r := &s.items[len(s.items)-1].record
		r.Value, r.Headers = []byte{0xC3, 1, 2, 3}, []stage.Header{{Key: "trace", Value: []byte{0xff, 0}}}
		if s.chance(2) {
			r.Value, poison = nil, events.NullValue
		}
	}
	s.items[len(s.items)-1].poison = poison
}
