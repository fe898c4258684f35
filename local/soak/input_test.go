//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"sync/atomic"
	"time"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/lab/town"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// Sizes of a day of the default town with one neighbour for each business and
// no employees: sightings and devices of its visitors, of its passers-by, and
// of the rest. From longTown sightings on, the town has two days.
const (
	visitSightings, visitDevices = 33_500, 395
	passSightings, passDevices   = 67_000, 6_120
	restSightings, restDevices   = 36_000, 16
	longTown                     = 200_000
)

// townOf returns a town with at least the given number of sightings and
// devices. A town of two days goes over the end of a month, since counts are
// kept by month. The town lies in the past, because a tick that is a day ahead
// of its record's timestamp is a dead letter, and in the near past, because the
// tables forget former rules.
func townOf(sightings, devices int, seed uint64) (town.Town, error) {
	c := town.Defaults()
	now := time.Now().UTC()
	c.Seed, c.Start = seed, time.Date(now.Year(), now.Month(), 0, 0, 0, 0, 0, time.UTC) // the last of a month
	days := 1.0
	if sightings > longTown {
		days = 2
	}
	c.Duration = time.Duration(days) * 24 * time.Hour
	// The last hours are not fed, and the businesses' numbers are rounded: aim
	// higher.
	s, d := 1.1*float64(sightings)/days-restSightings, 1.3*float64(devices)/days-restDevices
	// Visits and passers-by both contribute sightings and devices: two
	// equations.
	const ratio = float64(visitDevices) / visitSightings
	passers := max(0.02, (d-s*ratio)/(passDevices-passSightings*ratio))
	visits := max(0.3, (s-passers*passSightings)/visitSightings)
	for i := range c.Businesses {
		b := &c.Businesses[i]
		b.Neighbours, b.Employees = 1, 0 // two days are too short to learn a resident device
		b.Visits, b.Regulars = int(float64(b.Visits)*visits), int(float64(b.Regulars)*visits)
		b.PassersBy = int(float64(b.PassersBy) * passers)
	}
	return town.Generate(c)
}

// source yields the first sightings of a town and its CRM events. Spread evenly
// over the sightings, it starts the faults and plants the bad records.
type source struct {
	ctx          context.Context
	next         func() (recording.Item, bool)
	stop         func()
	sightings    int // to yield
	faults       int
	faultDue     chan<- struct{}
	faultRunning *atomic.Bool
	plants       int
	plant        func(n int) error

	fed         atomic.Int64
	faultsBegun int
	planted     int
	devices     map[string]struct{}
}

// newSource returns a source of the first sightings of items.
func newSource(ctx context.Context, items iter.Seq[recording.Item], sightings int) *source {
	next, stop := iter.Pull(items)
	return &source{ctx: ctx, next: next, stop: stop, sightings: sightings, devices: map[string]struct{}{}}
}

// Next implements feed.Source.
func (s *source) Next() (recording.Item, error) {
	// Start the faults and plant the records that are due at this point of the
	// input.
	n := int(s.fed.Load())
	for s.faultsBegun < s.faults && n >= (s.faultsBegun+1)*s.sightings/(s.faults+1) {
		select {
		case s.faultDue <- struct{}{}:
			s.faultsBegun++
		case <-s.ctx.Done():
			return recording.Item{}, context.Cause(s.ctx)
		}
	}
	for s.planted < s.plants && n >= (s.planted+1)*s.sightings/(s.plants+1) {
		if err := s.plant(s.planted); err != nil {
			return recording.Item{}, err
		}
		s.planted++
	}
	if n == s.sightings {
		return recording.Item{}, io.EOF
	}
	// Yield the next item. CRM events do not count as sightings.
	it, ok := s.next()
	if !ok {
		return it, fmt.Errorf("the town has only %d sightings, want more", n)
	}
	if it.CRM == nil {
		s.slow()
		s.fed.Add(1)
		s.devices[string(events.DeviceKey(it.Sighting.Business, it.Sighting.Device))] = struct{}{}
	}
	return it, nil
}

// faultTakes is about how long the longer faults take.
const faultTakes = 8 * time.Second

// slow spreads the sightings before the next fault over the time of the fault
// under way: the poller that takes over from a frozen or dead one must have
// work.
func (s *source) slow() {
	if !s.faultRunning.Load() {
		return
	}
	select {
	case <-time.After(faultTakes / time.Duration(s.sightings/(s.faults+1)+1)):
	case <-s.ctx.Done():
	}
}

// retryingProducer repeats a call until all its records are acknowledged.
// Records that it thereby produces twice are input that came twice.
type retryingProducer struct {
	out     stage.Producer
	repeats atomic.Int64 // calls that had to be repeated
}

// Produce implements stage.Producer.
func (p *retryingProducer) Produce(ctx context.Context, records []stage.Record) error {
	for began := time.Now(); ; p.repeats.Add(1) {
		try, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := p.out.Produce(try, records)
		cancel()
		if err == nil || ctx.Err() != nil || time.Since(began) > patience {
			return err
		}
	}
}

// plantedHeader marks the records that no function can process. A dead letter
// keeps the headers of its record.
const plantedHeader = "soak-planted"

// poison is one kind of record that no function can process.
type poison struct {
	topic  string
	stage  string
	reason events.Reason
	record func(n int) stage.Record
}

// poisons returns a kind for every reason that a single record can be rejected
// for, and for every topic that a stage reads. at is the beginning of the town.
func poisons(at time.Time) []poison {
	const shop = "market"
	text := func(n int) []byte { return []byte("neither Avro nor JSON " + strconv.Itoa(n)) }
	device := func(n int) events.DeviceID { return events.DeviceID("planted-" + strconv.Itoa(n)) }
	key := func(n int) []byte { return events.DeviceKey(shop, device(n)) }
	sighting := func(n int, seen time.Time, rssi events.RSSI) []byte {
		return must(events.Encode(nil, &events.Sighting{Business: shop, Sensor: "r1", Device: device(n), RSSI: rssi, SeenAt: seen, Associated: true}))
	}
	login := func(n int) []byte {
		return must(events.Encode(nil, &events.PortalLogin{Business: shop, Device: device(n), Contact: "planted", At: at}))
	}
	free := stage.AnyPartition
	nonsense := func(topic, by string) poison {
		return poison{topic, by, events.Undecodable, func(n int) stage.Record { return stage.Record{Partition: free, Key: key(n), Value: text(n)} }}
	}
	return []poison{
		nonsense(events.Sightings, pipeline.Detect),
		nonsense(events.CRMEvents, pipeline.Identify),
		nonsense(events.CRMEventsBackfill, pipeline.Identify),
		nonsense(events.WalkIns, pipeline.Enrich),
		nonsense(events.EnrichedWalkIns, pipeline.Count),
		{events.Sightings, pipeline.Detect, events.NullValue, func(n int) stage.Record {
			return stage.Record{Partition: free, Key: key(n)}
		}},
		{events.Sightings, pipeline.Detect, events.InvalidField, func(n int) stage.Record {
			return stage.Record{Partition: free, Key: key(n), Value: sighting(n, at, 1)}
		}},
		{events.Sightings, pipeline.Detect, events.KeyMismatch, func(n int) stage.Record {
			return stage.Record{Partition: free, Key: key(n + 1), Value: sighting(n, at, -50)}
		}},
		{events.Sightings, pipeline.Detect, events.WrongPartition, func(n int) stage.Record {
			wrong := (events.Partition(key(n), partitions) + 1) % partitions
			return stage.Record{Partition: wrong, Key: key(n), Value: sighting(n, at, -50)}
		}},
		{events.Sightings, pipeline.Detect, events.AheadOfWatermark, func(n int) stage.Record {
			return stage.Record{Partition: free, Key: key(n), Value: sighting(n, at.AddDate(0, 1, 0), -50)}
		}},
		{events.CRMEvents, pipeline.Identify, events.KeyMismatch, func(n int) stage.Record {
			return stage.Record{Partition: free, Key: []byte("cafe"), Value: login(n)}
		}},
		{events.CRMEventsBackfill, pipeline.Identify, events.UnknownSchema, func(n int) stage.Record {
			return stage.Record{Partition: free, Key: []byte(shop), Value: []byte(`{"type":"horoscope-changed"}`)}
		}},
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// planter returns a function that produces the n-th bad record, the kinds in
// turn.
func planter(ctx context.Context, out stage.Producer, kinds []poison) func(n int) error {
	return func(n int) error {
		kind := kinds[n%len(kinds)]
		r := kind.record(n)
		r.Topic, r.Headers = kind.topic, []stage.Header{{Key: plantedHeader, Value: []byte(strconv.Itoa(n))}}
		if err := out.Produce(ctx, []stage.Record{r}); err != nil {
			return errors.Join(fmt.Errorf("plant record %d on %s", n, r.Topic), err)
		}
		return nil
	}
}
