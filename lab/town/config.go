// Package town simulates a small town: people who visit its businesses or walk
// past them, the phones they carry, the routers that hear those phones, and
// the ways in which what the routers report comes late, twice or out of order.
// It knows who was really there.
//
// The same configuration gives the same town, byte for byte.
package town

import (
	"time"

	"footfall/events"
)

// Config describes a town. Start from Defaults: there a zero means none of the
// thing, and Generate says what cannot be.
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

// Business is one store and the street it stands in.
type Business struct {
	ID          events.BusinessID
	Routers     int           // sensors "r1", "r2", ...; r1 is at the door
	Open, Close time.Duration // since midnight UTC
	Visits      int           // a day, of people; see Visit for what counts
	Stay        time.Duration // median of a visit
	Regulars    int           // contacts who come on many days
	PassersBy   int           // an hour by day; a quarter of that in the evening, a tenth at night
	Neighbours  int           // devices of the flats around, weakly heard all day
	// Statics are devices of the store itself, strongly heard day and night;
	// Employees is how many people work there, each with a phone. Neither are
	// customers: Town.Statics and Town.Employees list their devices.
	Statics, Employees int
}

// People says who the visitors are.
type People struct {
	RegularShare float64       // of visits, those by regulars
	ReturnShare  float64       // of visits, those by somebody who left an hour or more ago
	LoginShare   float64       // of the other visits, those with a first login at the portal
	LoginAfter   time.Duration // median from entering to that login
	SecondDevice float64       // share of regulars with two devices; they bring both half the time
	// Loiterers is the share of passers-by who stay in front of the window for 5
	// to 20 minutes: most false walk-ins are theirs. StepIns is the share of
	// those who step in for less than two minutes.
	Loiterers, StepIns float64
}

// Phones says how phones behave.
type Phones struct {
	Randomised         float64 // share of visitors' devices with a locally administered address
	PasserByRandomised float64 // share of passers-by's
	// Joined is the share of regulars' devices with a real address that join the
	// store's network by themselves. Those with a random one all do: it is the
	// address they keep for that network, under any other nobody knows them.
	Joined float64
	// Silences is how long a phone says nothing between two bursts of probes
	// while its owner is inside and it has not joined the network.
	Silences []Silence
}

// Silence is one kind of silence: Share of all silences last from Min to Max.
// The shares add up to 1.
type Silence struct {
	Share    float64
	Min, Max time.Duration
}

// Posts says how sightings reach the platform.
type Posts struct {
	Every time.Duration // each router posts what it heard
	Delay time.Duration // a post takes up to so long
	// Repeated is the share of posts that come twice, up to RepeatWithin after
	// the first time, since the router saw no answer.
	Repeated float64
	// Outages is how often a day some router is cut off for OutageLength. It
	// posts what it heard meanwhile when BacklogAfter has passed since.
	Outages int
}

// What a router does that was cut off. All that comes late is later than the 15
// minutes that count.
const (
	OutageLength = 24 * time.Minute
	BacklogAfter = 16 * time.Minute // after the end of the outage
	RepeatWithin = 10 * time.Second
)

// CRM says what happens to contacts, a day.
type CRM struct {
	Merges    int // contacts found to be one person
	Deletions int
	// Quiet is how long a contact has not been there when either happens.
	Quiet time.Duration
}

// Defaults is a town of five businesses, of which one has most of the traffic:
// 400 visits in one day, two out of five by people the CRM knows. Each has tills
// or printers, and people who work there.
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

// defaultSilences are set so that cutting visits at silences of 5, 15 and 30
// minutes gives extra pieces in the proportion seen with real phones in an
// office, 106 : 30 : 1, and one silence in a hundred exceeds 17 to 24 minutes.
func defaultSilences() []Silence {
	return []Silence{
		{Share: 0.659, Min: 10 * time.Second, Max: 50 * time.Second},
		{Share: 0.265, Min: time.Minute, Max: 5 * time.Minute},
		{Share: 0.045, Min: 5 * time.Minute, Max: 15 * time.Minute},
		{Share: 0.03, Min: 15 * time.Minute, Max: 26 * time.Minute},
		{Share: 0.001, Min: 31 * time.Minute, Max: 38 * time.Minute},
	}
}
