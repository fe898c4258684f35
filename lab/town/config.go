// Package town simulates a small town: people who visit its businesses or pass
// by, their phones, the routers that hear the phones, and posts that arrive
// late, twice or out of order. The simulation knows every visit that really
// took place.
//
// The same configuration returns the same town, byte for byte.
//
// Start reading at Config and Generate. plan.go draws the visits of the whole
// time, people.go and radio.go let the phones transmit day by day, post.go
// delivers the sightings.
package town

import (
	"slices"
	"time"

	"footfall/events"
)

// Config describes a town. Start from Defaults: in a Config a zero means none
// of the thing. Generate returns an error for values that are out of range.
type Config struct {
	Seed     uint64
	Start    time.Time     // midnight UTC, the beginning of the first day
	Duration time.Duration // of event time; the last day may be cut short
	// Key makes the pseudonyms of devices, see pseudonym.Device.
	Key        []byte
	Businesses []Business
	People     People
	Phones     Phones
	Posts      Posts
	CRM        CRM
}

// Business is one store and the street in front of it.
type Business struct {
	ID          events.BusinessID
	Routers     int           // sensors "r1", "r2", ...; r1 is at the door
	Open, Close time.Duration // since midnight UTC
	Visits      int           // visits of people per day; see Visit for the definition
	Stay        time.Duration // median of a visit
	Regulars    int           // contacts that come on many days
	PassersBy   int           // per hour by day; a quarter of it in the evening, a tenth at night
	Neighbours  int           // devices in the flats around, heard weakly all day
	// Statics is the number of devices of the store itself, heard strongly day
	// and night; Employees is the number of people that work in the store, each
	// with a phone. Both are resident devices, listed in Town.Statics and
	// Town.Employees.
	Statics, Employees int
}

// People describes the visitors, mostly as shares from 0 to 1.
type People struct {
	RegularShare float64       // share of visits by regulars
	ReturnShare  float64       // share of visits by a person that left an hour or more ago
	LoginShare   float64       // share of the other visits with a first login at the portal
	LoginAfter   time.Duration // median from entering to that login
	SecondDevice float64       // share of regulars with two devices; half of their visits are with both
	// Loiterers is the share of passers-by that stay in front of the window for
	// 5 to 20 minutes; they cause most false walk-ins. StepIns is the share of
	// passers-by that step in for less than two minutes.
	Loiterers, StepIns float64
}

// Phones describes the behaviour of phones.
type Phones struct {
	Randomised         float64 // share of visitors' devices with a locally administered address
	PasserByRandomised float64 // the same for passers-by
	// Joined is the share of regulars' devices with a real address that join
	// the store's network by themselves. Regulars' devices with a randomised
	// address always join: the address is the one that the phone keeps for that
	// network, and under any other address the device could not be attributed
	// to a contact.
	Joined float64
	// Silences describes how long a phone transmits nothing between two bursts
	// of probes while it is inside and has not joined the network.
	Silences []Silence
}

// Silence is one kind of silence: Share of all silences last from Min to Max.
// The shares add up to 1.
type Silence struct {
	Share    float64
	Min, Max time.Duration
}

// Posts describes how sightings reach the platform.
type Posts struct {
	Every time.Duration // time between two posts of a router
	Delay time.Duration // longest time that a post takes
	// Repeated is the share of posts that are redelivered, up to RepeatWithin
	// after the first delivery, because the router received no answer.
	Repeated float64
	// Outages is the number of outages per day. In an outage one router is cut
	// off for OutageLength; the router posts its backlog BacklogAfter later.
	Outages int
}

// Times of an outage and of a repeated post. A backlog is always older than the
// allowed lateness of 15 minutes.
const (
	OutageLength = 24 * time.Minute
	BacklogAfter = 16 * time.Minute // after the end of the outage
	RepeatWithin = 10 * time.Second
)

// CRM describes the daily changes of contacts.
type CRM struct {
	Merges    int // per day: two contacts become one
	Deletions int // per day
	// Quiet is the shortest time since the contact's latest visit at which a
	// contact is merged or deleted.
	Quiet time.Duration
}

// Defaults returns a town of five businesses, one of which has most of the
// traffic: 400 visits in one day, two of five by contacts in the CRM. Each
// business has tills or printers, and employees.
func Defaults() Config {
	const h = time.Hour
	return Config{
		Seed:     1,
		Start:    time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), // a Monday
		Duration: 24 * h,
		Key:      []byte("the town's key"),
		Businesses: []Business{
			{ID: "market", Routers: 4, Open: 8 * h, Close: 20 * h, Visits: 240, Stay: 25 * time.Minute, Regulars: 180, PassersBy: 220, Neighbours: 5, Statics: 2, Employees: 6},
			{ID: "cafe", Routers: 2, Open: 7 * h, Close: 18 * h, Visits: 80, Stay: 40 * time.Minute, Regulars: 60, PassersBy: 90, Neighbours: 4, Statics: 1, Employees: 2},
			{ID: "gym", Routers: 3, Open: 6 * h, Close: 22 * h, Visits: 40, Stay: 75 * time.Minute, Regulars: 40, PassersBy: 30, Neighbours: 2, Statics: 1, Employees: 2},
			{ID: "bookshop", Routers: 2, Open: 9 * h, Close: 19 * h, Visits: 25, Stay: 20 * time.Minute, Regulars: 20, PassersBy: 60, Neighbours: 4, Statics: 1, Employees: 1},
			{ID: "barber", Routers: 1, Open: 9 * h, Close: 18 * h, Visits: 15, Stay: 35 * time.Minute, Regulars: 20, PassersBy: 40, Neighbours: 3, Statics: 1, Employees: 1},
		},
		People: People{
			RegularShare: 0.25, ReturnShare: 0.03, LoginShare: 0.22, LoginAfter: 6 * time.Minute,
			SecondDevice: 0.2, Loiterers: 0.01, StepIns: 0.01,
		},
		Phones: Phones{
			Randomised: 0.55, PasserByRandomised: 0.97, Joined: 0.5,
			Silences: defaultSilences(),
		},
		Posts: Posts{Every: time.Minute, Delay: 45 * time.Second, Repeated: 0.02, Outages: 2},
		CRM:   CRM{Merges: 2, Deletions: 2, Quiet: 3 * h},
	}
}

// defaultSilences returns silences for which splitting visits at silences of 5,
// 15 and 30 minutes yields extra pieces in the proportion 106 : 30 : 1, as
// measured with real phones in an office, and one silence in a hundred exceeds
// 17 to 24 minutes.
func defaultSilences() []Silence {
	return []Silence{
		{Share: 0.659, Min: 10 * time.Second, Max: 50 * time.Second},
		{Share: 0.265, Min: time.Minute, Max: 5 * time.Minute},
		{Share: 0.045, Min: 5 * time.Minute, Max: 15 * time.Minute},
		{Share: 0.03, Min: 15 * time.Minute, Max: 26 * time.Minute},
		{Share: 0.001, Min: 31 * time.Minute, Max: 38 * time.Minute},
	}
}

// WantsVisits reports whether some business has visits.
func (c Config) WantsVisits() bool {
	return slices.ContainsFunc(c.Businesses, func(b Business) bool { return b.Visits > 0 })
}

// FirstOpening returns when the first business with visits opens.
func (c Config) FirstOpening() time.Time {
	first := day
	for _, b := range c.Businesses {
		if b.Visits > 0 {
			first = min(first, b.Open)
		}
	}
	return c.Start.Add(first)
}
