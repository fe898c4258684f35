package main

import (
	"encoding/base64"
	"fmt"
	"time"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// The length of a month, and the part of a month with sightings. Rates are those of
// opening hours.
const (
	hoursPerMonth = 730
	openHours     = hoursPerMonth * 12 / 24
	gb            = 1e9
)

// Figures of a simulated day (`footfall simulate`, seed 1). A town with fewer
// passers-by has more logins and walk-ins per sighting. When an attributed visit
// ends, its enriched walk-in is produced again, and so is the count.
const (
	daySightings = 152_276
	dayLogins    = 440
	dayWalkIns   = 377
	dayEnds      = 376
	dayEnriched  = 160
)

// Bytes that a batch of sightings adds to table visit-log. The head of an item was
// measured with its keys. In a simulation of busy shops 226,000 of a million
// sightings changed the state of a device, by 24 bytes each; on the simulated day
// above, whose sightings are mostly of passers-by, the average is 1.7 bytes a
// sighting.
const (
	itemHead         = 78 // bytes
	itemPerSighting  = 0.226 * 24
	attributionBytes = 200 // of an item of table pending
)

// Requests to DynamoDB per event, counted in the code of the stages. A login writes
// device and contact and resolves waiting walk-ins. A walk-in is stored, and some
// walk-ins update the last-seen of the device. The end of a visit is written to its
// walk-in, with or without a contact. A count adds, sums, produces and sums again.
const (
	loginWrites, loginReads   = 2.14, 5.0
	walkInWrites, walkInReads = 1.3, 2.0
	countWrites, countReads   = 1.0, 2.0
	endWrites                 = 1.0
)

// lookEvery is how often, in seconds, an environment reads whether a business was
// changed. Changed businesses are read as well, which is not counted.
const lookEvery = 20.0 // seconds

// Assumptions about the duration of an invocation. CPU time was measured on a
// machine with full cores (BenchmarkDecodeEvent, BenchmarkDetect); Lambda assigns a
// function a whole core at 1,769 MB.
const (
	roundTrip      = 10 * time.Millisecond // to DynamoDB, or an acknowledged produce
	recordCPU      = 1200 * time.Nanosecond
	postedCPU      = 5 * time.Microsecond // a sighting of a post (BenchmarkMeraki: 3.4 to 3.8 ms for the 700 of 100 clients)
	fullCoreMB     = 1769
	parallelWrites = 16 // of enrich and count; identify works record by record
)

// roundTrips holds the sequential round trips: per batch for detect, per 16 records
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

// Bytes of logs: Lambda's own lines of an invocation, from its documentation, and
// two lines of shared/lambdarun, the first of which lists the offsets of each
// partition. A post has one line of ingest and one of the API.
const (
	platformLog = 800
	runnerLog   = 450
	perPartLog  = 28
	postLog     = 280 // ingest's line of a post
	accessLog   = 80  // the API's line
)

// X-Ray samples the first request of a second and 5 % of the others. Ingest is not
// traced.
const (
	tracedFirst = 1
	tracedShare = 0.05
)

// recordOverhead is the number of bytes that Kafka adds to a key and a value inside
// a batch: lengths, deltas of time and offset, attributes.
const recordOverhead = 9

// sample returns a sighting of usual length, and its key.
func sample() (key, value []byte) {
	s := events.Sighting{
		Business: "cafe-1", Sensor: "r1", Device: "k3Jw0fUyZr5nQm8sTq1vXA", RSSI: -61,
		SeenAt: time.Date(2026, 11, 2, 10, 0, 30, 0, time.UTC),
	}
	value, err := events.Encode(nil, &s)
	if err != nil {
		panic(err) // a constant that does not encode
	}
	return events.DeviceKey(s.Business, s.Device), value
}

// kafkaBytes returns the size of a sighting in Kafka, uncompressed. The few other
// records are assumed to be twice as large.
func kafkaBytes() float64 {
	key, value := sample()
	return float64(len(key) + len(value) + recordOverhead)
}

// jsonBytes returns the size of a sighting in the event that Lambda passes to a
// function.
func jsonBytes() float64 {
	key, value := sample()
	const frame = `{"topic":"sightings","partition":31,"offset":1234567890,"timestamp":1793613600000,` +
		`"timestampType":"CREATE_TIME","key":"","value":"","headers":[]},`
	return float64(len(frame) + base64.StdEncoding.EncodedLen(len(key)) + base64.StdEncoding.EncodedLen(len(value)))
}

// flow returns the number of records of a topic per sighting.
func flow(topic string) float64 {
	per := map[string]float64{
		events.Sightings:       1, // logins included
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

// recordBytes returns the size of a record of a topic in Kafka.
func recordBytes(topic string) float64 {
	if topic == events.Sightings {
		return kafkaBytes()
	}
	return 2 * kafkaBytes()
}

// partitions returns the number of partitions of a topic in a size.
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
