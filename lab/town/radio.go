package town

import (
	"math"
	"strconv"
	"time"

	"footfall/events"
)

// place is the position of a phone, as the average signal strength in dBm at
// index of the nearest router router and at the others.
type place struct{ near, far float64 }

// The places. With the entry threshold of -70 dBm nearly every visit of some
// length is found, nearly no passer-by on the pavement is, and some of those in
// front of the window are.
var (
	inside = place{-56, -70}
	door   = place{-66, -78}
	street = place{-82, -91}
	window = place{-79, -89}
	house  = place{-84, -92} // the flats around
	shelf  = place{-50, -66} // devices of the store
)

// Standard deviations, in dB, of a phone, of its position in the room and of a
// single frame from the mean; the weakest frame that is received, in dBm.
const (
	phoneSpread = 3
	burstSpread = 2
	frameSpread = 3.5
	floor       = -95
	lost        = 0.05 // share of the frames that collide with others
)

// phone is a device that transmits near a business.
type phone struct {
	device
	dice   dice
	power  float64 // deviation from the average phone, in dB
	router int     // index of the nearest router
}

// phone prepares a device for a visit, a walk past or a day. Its dice are its
// own, so its transmissions do not depend on other devices.
func (t *today) phone(s *shop, d device, when time.Time) *phone {
	dice := newDice(t.plan.config.Seed, phoneStream, d.seed, uint64(when.UnixMilli()))
	return &phone{device: d, dice: dice, power: phoneSpread * dice.NormFloat64(), router: dice.IntN(s.Routers)}
}

// probes transmits one probe request or two; every router in reach hears each.
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

// reports makes the report of a router on a phone that has joined the network:
// one sighting, from the router that the phone is joined to.
func (t *today) reports(s *shop, p *phone, at place, when time.Time) {
	t.heard(s, p, p.router, at.near+p.power+burstSpread*p.dice.NormFloat64(), when, true)
}

// heard adds the sighting of one frame at one router, if the router receives
// it. A frame before midnight is dropped: a visitor that enters at midnight
// transmits on the way in, and the day before is already complete.
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
