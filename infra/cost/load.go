package main

import (
	"encoding/base64"
	"fmt"
	"time"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// A month, and how much of it there are sightings. Rates are those of the hours
// in which the shops are open.
const (
	hoursPerMonth = 730
	openHours     = hoursPerMonth * 12 / 24
	gb            = 1e9
)

// What a simulated day tells (`footfall simulate`, seed 1). A town with fewer
// passers-by has more logins and walk-ins per sighting. The end of a visit whose
// contact is known tells its walk-in again, and the count with it.
const (
	daySightings = 152_276
	dayLogins    = 440
	dayWalkIns   = 377
	dayEnds      = 376
	dayEnriched  = 160
)

// What a batch of sightings leaves in table visit-log. The head of an item was
// measured with its keys. 226,000 of a million sightings changed a device's
// state, of 24 bytes each, in a simulation of busy shops; in the simulated day
// above, most of whose sightings are of passers-by, it is 1.7 bytes a sighting.
const (
	itemHead         = 78 // bytes
	itemPerSighting  = 0.226 * 24
	attributionBytes = 200 // of an item of table pending
)

// Requests to DynamoDB per event, counted in the code of the stages: a login
// writes device and contact, and resolves what waits; a walk-in is stored, and
// some move the time that a device was last seen; the end of a visit is noted with
// its walk-in, with or without a contact; a count adds, sums up, tells and sums up
// again.
const (
	loginWrites, loginReads   = 2.14, 5.0
	walkInWrites, walkInReads = 1.3, 2.0
	countWrites, countReads   = 1.0, 2.0
	endWrites                 = 1.0
)

// lookEvery is how often an environment looks whether any business was changed;
// those that were are read too, which is not counted.
const lookEvery = 20.0 // seconds

// Assumptions on how long an invocation takes. CPU time was measured on a
// machine with full cores (BenchmarkDecodeEvent, BenchmarkDetect); Lambda gives
// a function a whole one at 1,769 MB.
const (
	roundTrip      = 10 * time.Millisecond // to DynamoDB, or an acknowledged produce
	recordCPU      = 1200 * time.Nanosecond
	postedCPU      = 5 * time.Microsecond // a sighting of a post (BenchmarkMeraki: 3.4 to 3.8 ms for the 700 of 100 clients)
	fullCoreMB     = 1769
	parallelWrites = 16 // of enrich and count; identify goes record by record
)

// roundTrips are those one after the other: per batch for detect, per 16 records
// for enrich and count, per record for identify, per post for ingest, and of a tick.
var roundTrips = map[string]float64{
	pipeline.Detect: 2, pipeline.Identify: 6, pipeline.Enrich: 5, pipeline.Count: 4, pipeline.Tick: 2, pipeline.Ingest: 1,
}

// Pollers (AWS Lambda developer guide, "Event poller scaling modes").
const (
	pollerBytes   = 5e6 // a second
	unitBytes     = 20e6
	unitPollers   = 10
	eventBytes    = 6e6                    // of one invocation
	fetchInterval = 100 * time.Millisecond // of a poller with window 0, assumed
)

// Bytes of logs: Lambda's own lines about an invocation, taken from its
// documentation; and two lines of shared/lambdarun, the first of which lists the
// offsets of each partition. A post has one of ingest and one of the API alone.
const (
	platformLog = 800
	runnerLog   = 450
	perPartLog  = 28
	postLog     = 280 // ingest's line on a post
	accessLog   = 80  // the API's
)

// X-Ray takes the first request of a second and 5 % of the others. Ingest is not
// traced.
const (
	tracedFirst = 1
	tracedShare = 0.05
)

// recordOverhead is what Kafka adds to a key and a value inside a batch: lengths,
// deltas of time and offset, attributes.
const recordOverhead = 9

// sample is a sighting of usual length, and its key.
func sample() (key, value []byte) {
	s := events.Sighting{
		Business: "cafe-1", Sensor: "r1", Device: "k3Jw0fUyZr5nQm8sTq1vXA", RSSI: -61,
		SeenAt: time.Date(2026, 11, 2, 10, 0, 30, 0, time.UTC),
	}
	value, err := events.Encode(nil, &s)
	if err != nil {
		panic(err) // a constant that is no sighting
	}
	return events.DeviceKey(s.Business, s.Device), value
}

// kafkaBytes is what a sighting takes in Kafka, not compressed. The other records
// are taken as twice that: they are few.
func kafkaBytes() float64 {
	key, value := sample()
	return float64(len(key) + len(value) + recordOverhead)
}

// jsonBytes is what a sighting takes in the event that Lambda gives a function.
func jsonBytes() float64 {
	key, value := sample()
	const frame = `{"topic":"sightings","partition":31,"offset":1234567890,"timestamp":1793613600000,` +
		`"timestampType":"CREATE_TIME","key":"","value":"","headers":[]},`
	return float64(len(frame) + base64.StdEncoding.EncodedLen(len(key)) + base64.StdEncoding.EncodedLen(len(value)))
}

// flow is how many records of a topic there are per sighting.
func flow(topic string) float64 {
	per := map[string]float64{
		events.Sightings:       1, // logins among them
		events.CRMEvents:       dayLogins,
		events.DeviceContacts:  dayLogins,
		events.WalkIns:         dayWalkIns,
		events.VisitsEnded:     dayEnds,
		events.EnrichedWalkIns: 2 * dayEnriched,
		events.WalkInCounts:    2 * dayEnriched,
	}[topic]
	if topic == events.Sightings {
		return per
	}
	return per / daySightings
}

// recordBytes is what a record of a topic takes in Kafka.
func recordBytes(topic string) float64 {
	if topic == events.Sightings {
		return kafkaBytes()
	}
	return 2 * kafkaBytes()
}

// partitions is how many a topic has in a size.
func partitions(t events.Topic, size settings.Size) float64 {
	if size.Partitions > 0 {
		return float64(size.Partitions)
	}
	return float64(t.Partitions)
}

func partitionsOf(topic string, size settings.Size) float64 {
	t, ok := events.TopicByName(topic)
	if !ok {
		panic(fmt.Sprintf("topic %q is none of events", topic))
	}
	return partitions(t, size)
}
