package town

import (
	"math"
	"strconv"
	"time"

	"footfall/events"
)

// place is where a phone is, by how strongly it is received on average at the
// nearest router and at the others, in dBm.
type place struct{ near, far float64 }

// The places. They are set so that with the entry threshold of -70 dBm nearly
// every visit of some length is found, nearly nobody on the pavement is, and
// some of those who wait in front of the window are.
var (
	inside = place{-56, -70}
	door   = place{-66, -78}
	street = place{-82, -91}
	window = place{-79, -89}
	house  = place{-84, -92} // the flats around
	shelf  = place{-50, -66} // devices of the store
)

// How much a phone, its place in the room and a single frame differ from the
// mean, in dB, and from where on a frame is not received any more.
const (
	phoneSpread = 3
	burstSpread = 2
	frameSpread = 3.5
	floor       = -95
	lost        = 0.05 // share of the frames that collide with others
)

// phone is a device at work near a business.
type phone struct {
	device
	dice   dice
	power  float64 // dB that it is stronger than others
	router int     // the nearest
}

// phone gets a device ready for a visit, a walk past or a day. Its dice are its
// own, so that what it says depends on nobody else.
func (t *today) phone(s *shop, d device, when time.Time) *phone {
	dice := newDice(t.plan.config.Seed, phoneStream, d.seed, uint64(when.UnixMilli()))
	return &phone{device: d, dice: dice, power: phoneSpread * dice.NormFloat64(), router: dice.IntN(s.Routers)}
}

// probes says "who is there" once or twice; every router in reach hears each.
func (t *today) probes(s *shop, p *phone, at place, when time.Time) {
	shift := p.power + burstSpread*p.dice.NormFloat64()
	for range 1 + p.dice.IntN(2) {
		for r := range s.Routers {
			mean := at.far
			if r == p.router {
				mean = at.near
			}
			t.heard(s, p, r, mean+shift, when, false)
		}
		when = when.Add(p.dice.between(20*time.Millisecond, 80*time.Millisecond))
	}
}

// reports is what a router says of a phone that has joined the network: one
// sighting, from the router it is joined to.
func (t *today) reports(s *shop, p *phone, at place, when time.Time) {
	t.heard(s, p, p.router, at.near+p.power+burstSpread*p.dice.NormFloat64(), when, true)
}

// heard lets one router hear one frame, if it can. What a visitor of midnight
// said on the way belongs to the day before, which is over.
func (t *today) heard(s *shop, p *phone, router int, mean float64, when time.Time, associated bool) {
	rssi := math.Round(mean + frameSpread*p.dice.NormFloat64())
	if rssi < floor || p.dice.chance(lost) ||
		when.Before(t.midnight) || !when.Before(t.plan.end) {
		return
	}
	t.post(s, router, events.Sighting{
		Business:   s.ID,
		Sensor:     events.SensorID("r" + strconv.Itoa(router+1)),
		Device:     p.id,
		RSSI:       events.RSSI(min(rssi, -20)),
		SeenAt:     when,
		Associated: associated,
		Randomised: p.randomised,
	})
}
