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

// item is one thing that comes from outside, at the time it arrives.
type item struct {
	at     time.Time
	tick   bool
	record stage.Record
	poison events.Reason // why a stage must put it aside; "" where it must not
	// login is the time of a live CRM event. What arrives a minute after it waits
	// until identify has told it: a login is a sighting too, and sightings may be
	// out of order by two minutes.
	login time.Time
	base  *baseChange
}

// baseChange sets the base count of a contact.
type baseChange struct {
	key  stage.CountKey
	base int64
}

// script draws the input of a run: some hours of a few devices.
type script struct {
	random *rand.Rand
	items  []item
	begin  time.Time
	end    time.Time
	people []person
	told   int                     // CRM events so far
	ended  map[stage.CountKey]bool // contacts that were deleted or merged
}

// person is a device and who may log in with it.
type person struct {
	with       *person // who carries this device too; nil for nobody
	stays      []span  // from when to when this device is heard
	business   events.BusinessID
	device     events.DeviceID
	contacts   []events.ContactID
	randomised bool
}

// span is a run of time.
type span struct{ from, to time.Time }

func (s *script) minutes(from, to int) time.Duration {
	return time.Duration(from*60+s.random.IntN((to-from)*60+1)) * time.Second
}

func (s *script) chance(n int) bool { return s.random.IntN(n) == 0 }

// newScript draws devices.
func newScript(random *rand.Rand) *script {
	s := &script{random: random, begin: epoch, ended: map[stage.CountKey]bool{}}
	if s.chance(3) { // a midnight that ends a month
		s.begin = time.Date(2026, time.March, 31, 22, 30, 0, 0, time.UTC)
	}
	n := 3 + random.IntN(3)
	s.people = make([]person, 0, n) // people point to each other
	for i := range n {
		b := events.BusinessID("b0")
		if i > 0 && s.chance(3) {
			b = "b1"
		}
		p := person{business: b, device: events.DeviceID(fmt.Sprint("d", i)), randomised: s.chance(5)}
		p.contacts = append(p.contacts, events.ContactID("c"+string(rune('0'+random.IntN(3)))), events.ContactID("x"+string(rune('0'+random.IntN(2)))))
		if i > 0 && s.people[i-1].with == nil && !s.chance(3) {
			p.with = &s.people[i-1]
			p.business, p.contacts = p.with.business, p.with.contacts
		}
		s.people = append(s.people, p)
	}
	return s
}

// hours draws what arrives in the hours from begin on, and the ticks that end
// every visit.
func (s *script) hours(begin time.Time) []item {
	s.items, s.begin, s.end = nil, begin, begin.Add(time.Hour)
	for i := range s.people {
		s.visits(&s.people[i])
	}
	s.crm()
	for range s.random.IntN(3) {
		s.spoil()
	}
	for at := begin; at.Before(s.end); at = at.Add(15 * time.Minute) {
		s.tick(at)
	}
	for _, after := range []time.Duration{0, 20 * time.Minute, 50 * time.Minute, 90 * time.Minute} {
		s.tick(s.end.Add(after))
	}
	s.end = s.end.Add(90 * time.Minute)
	slices.SortStableFunc(s.items, func(a, b item) int { return cmp.Compare(a.at.UnixMilli(), b.at.UnixMilli()) })
	return s.items
}

func (s *script) tick(at time.Time) { s.items = append(s.items, item{at: at, tick: true}) }

// visits draws the sightings of one device.
func (s *script) visits(p *person) {
	p.stays = nil
	if p.with != nil {
		for _, stay := range p.with.stays {
			s.beside(p, stay)
		}
		return
	}
	at := s.begin.Add(s.minutes(2, 30))
	for range s.random.IntN(4) {
		at = s.visit(p, at, 2+s.random.IntN(3)).Add([]time.Duration{s.minutes(8, 30), s.minutes(38, 100)}[s.random.IntN(2)])
	}
}

// visit draws n sightings and gives when the next would be.
func (s *script) visit(p *person, at time.Time, n int) time.Time {
	associated, stay := s.chance(4), span{at, at}
	for range n {
		s.sighting(p, at, associated)
		stay.to = at
		at = at.Add(s.minutes(2, 9))
	}
	p.stays = append(p.stays, stay)
	return at
}

// beside draws a visit of a person's other device: from before, within, at the
// very end of, or after that of the first one.
func (s *script) beside(p *person, stay span) {
	at := stay.from
	switch s.random.IntN(6) {
	case 0:
		return
	case 1:
		at = at.Add(-s.minutes(0, 8))
	case 2:
		at = stay.to.Add(time.Duration(s.random.IntN(5)-2) * time.Minute)
	case 3:
		at = stay.to.Add(s.minutes(4, 34)) // before anybody knows that the first has gone
	default:
		at = at.Add(time.Duration(s.random.Int64N(int64(stay.to.Sub(at) + time.Second))))
	}
	if n := len(p.stays); n > 0 && at.Before(p.stays[n-1].to.Add(2*time.Minute)) {
		return
	}
	s.visit(p, later(at, s.begin.Add(3*time.Minute)), 3+s.random.IntN(3))
}

// sighting may come a little late, very late, or twice.
func (s *script) sighting(p *person, at time.Time, associated bool) {
	seen := events.Sighting{
		Business: p.business, Sensor: "door", Device: p.device, SeenAt: at,
		RSSI: []events.RSSI{-50, -60, -70, -80, -90}[min(4, s.random.IntN(12)/2)], Associated: associated, Randomised: p.randomised,
	}
	arrival := at
	switch s.random.IntN(12) {
	case 0, 1, 2:
		arrival = at.Add(s.minutes(0, 1))
	case 3:
		arrival = at.Add(s.minutes(70, 90))
	}
	key := events.DeviceKey(p.business, p.device)
	s.add(arrival, events.Sightings, key, &seen)
	if s.chance(8) {
		s.add(arrival.Add(s.minutes(0, 1)), events.Sightings, key, &seen)
	}
	s.end = later(s.end, arrival)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// crm draws logins, merges and deletions, live and from a backfill.
func (s *script) crm() {
	for i := range 1 + s.random.IntN(5) + len(s.people) {
		p := &s.people[s.random.IntN(len(s.people))]
		if i < len(s.people) { // both devices of a person, mostly
			if p = &s.people[i]; p.with == nil && (i+1 == len(s.people) || s.people[i+1].with == nil) || s.chance(4) {
				continue
			}
		}
		s.told++ // no two at the same moment
		at := s.begin.Add(s.minutes(-20, 200) + time.Duration(s.told)*time.Millisecond)
		c := p.contacts[s.random.IntN(4)/3]
		e := s.crmEvent(p, c, at)
		if s.chance(3) || at.Before(s.begin.Add(2*time.Minute)) {
			s.add(later(at, s.begin).Add(s.minutes(0, 90)), events.CRMEventsBackfill, events.BusinessKey(p.business), e)
			continue
		}
		s.add(at, events.CRMEvents, events.BusinessKey(p.business), e)
		s.items[len(s.items)-1].login = at
		if s.chance(6) {
			s.add(at.Add(s.minutes(70, 90)), events.CRMEvents, events.BusinessKey(p.business), e)
		}
		s.end = later(s.end, at)
	}
}

// crmEvent is mostly a login. A contact is deleted or merged once at the most.
func (s *script) crmEvent(p *person, c events.ContactID, at time.Time) any {
	kind, key := s.random.IntN(8), stage.CountKey{Business: p.business, Contact: c}
	if kind < 2 && s.ended[key] {
		kind = 7
	}
	switch {
	case kind == 0:
		s.ended[key] = true
		return &events.ContactDeleted{Business: p.business, Contact: c, At: at}
	case kind == 1 && c == p.contacts[1]:
		return &events.ContactChanged{Business: p.business, Contact: c, At: at}
	case kind == 1:
		s.ended[key] = true
		return &events.ContactChanged{Business: p.business, Contact: c, MergedInto: p.contacts[1], At: at}
	default:
		return &events.PortalLogin{Business: p.business, Device: p.device, Contact: c, At: at, Randomised: p.randomised}
	}
}

// add appends a record. What foreigners may send as JSON is JSON now and then.
func (s *script) add(at time.Time, topic string, key []byte, event any) {
	value, err := events.Encode(nil, event)
	if _, foreign := event.(*events.Sighting); foreign && s.chance(6) {
		value, err = json.Marshal(event)
	}
	if err != nil {
		panic(err) // only a mistake here can make it
	}
	s.items = append(s.items, item{at: at, record: stage.Record{
		Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value, Timestamp: at,
	}})
	s.end = later(s.end, at)
}

// spoil adds a record that nothing can be made of.
func (s *script) spoil() {
	p := &s.people[0]
	at := s.begin.Add(s.minutes(20, 80)) // a partition that was added may miss the first tick
	key := events.DeviceKey(p.business, p.device)
	good := &events.Sighting{Business: p.business, Sensor: "door", Device: p.device, SeenAt: at, RSSI: -60}
	poison := events.Undecodable
	switch s.random.IntN(7) {
	case 0:
		good.SeenAt = at.Add(72 * time.Hour)
		s.add(at, events.Sightings, key, good)
		poison = events.AheadOfWatermark
	case 1:
		s.add(at, events.Sightings, []byte("b9/other"), good)
		poison = events.KeyMismatch
	case 2:
		s.add(at, events.Sightings, key, good)
		s.items[len(s.items)-1].record.Partition = -2 // one that is not the key's
		poison = events.WrongPartition
	case 3:
		s.add(at, events.Sightings, []byte("tick"), &events.Tick{At: at.AddDate(2, 0, 0)})
		s.items[len(s.items)-1].record.Partition = int32(s.random.IntN(2))
		poison = events.AheadOfWatermark
	default:
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
