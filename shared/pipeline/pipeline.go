// Package pipeline is the graph of Footfall as validated data: the stages, the
// topics they read and write, the tables, and the names of the consumer groups.
// infra deploys the graph to AWS, local runs the graph on one machine.
//
// Start with Default in this file, which returns the graph. graph.go has its types,
// validate.go the rules that every graph keeps, groups.go the names of consumer
// groups.
package pipeline

import (
	"time"

	"footfall/events"
)

// Names of the stages. The same word names the function's folder, the stage's file
// in shared/stage or its package (shared/detect, shared/ingest), and the stage in
// logs and dead letters.
const (
	Ingest   = "ingest"
	Detect   = "detect"
	Identify = "identify"
	Enrich   = "enrich"
	Count    = "count"
	Tick     = "tick"
)

// Names of the tables.
const (
	VisitLogTable   = "visit-log"
	IdentitiesTable = "identities"
	PendingTable    = "pending"
	CountsTable     = "counts"
	BusinessesTable = "businesses"
)

// retries is how often each mapping redelivers a failed batch. It is set
// explicitly: without a value, an event source mapping with a failure destination
// silently uses 10. A batch that still fails after minutes of retries goes to the
// failure destination, where an operator looks at the records.
const retries = 100

// Default returns the graph of Footfall. A mapping lists topic, batch size, window,
// retries and bisect; a table lists partition key, sort key and TTL attribute.
func Default() Graph {
	return Graph{
		// Items of counts and businesses never expire.
		Tables: []Table{
			{VisitLogTable, Attribute{"chain", "S"}, Attribute{"seq", "N"}, "expires"},
			{IdentitiesTable, Attribute{"pk", "S"}, Attribute{}, "expires"},
			{PendingTable, Attribute{"pk", "S"}, Attribute{"sk", "S"}, "expires"},
			{CountsTable, Attribute{"pk", "S"}, Attribute{"month", "S"}, ""},
			{BusinessesTable, Attribute{"pk", "S"}, Attribute{}, ""},
		},
		// The topics that a walk-in passes after detect, and logins, have no batch window,
		// for the lowest latency. The other topics wait up to a second for larger batches.
		Stages: []Stage{
			{
				Name: Ingest, Does: "checks the posts of routers, replaces MAC addresses by pseudonyms, produces sightings and CRM events",
				Writes: []string{events.Sightings, events.CRMEvents},
				Tables: []string{BusinessesTable}, Timeout: 25 * time.Second, MemoryMB: 1024, HTTP: true,
			},
			{
				Name: Tick, Does: "produces a tick on every partition of sightings",
				Writes:  []string{events.Sightings},
				Timeout: 30 * time.Second, MemoryMB: 256, Schedule: time.Minute,
			},
			{
				Name: Detect, Does: "decides which devices are in the store (walk-ins) and when they left",
				Reads:  []Mapping{{events.Sightings, 5000, time.Second, retries, true}},
				Writes: []string{events.WalkIns, events.VisitsEnded},
				Tables: []string{VisitLogTable, BusinessesTable}, Timeout: time.Minute, MemoryMB: 1024,
			},
			{
				Name: Identify, Does: "binds devices to contacts from portal logins and CRM changes",
				Reads: []Mapping{
					{events.CRMEvents, 100, 0, retries, true},
					{events.CRMEventsBackfill, 1000, time.Second, retries, true},
				},
				Writes: []string{events.DeviceContacts, events.EnrichedWalkIns, events.Sightings},
				Tables: []string{IdentitiesTable, PendingTable}, Timeout: time.Minute, MemoryMB: 512,
			},
			{
				Name: Enrich, Does: "attributes walk-ins to contacts, or stores them as pending until a login",
				Reads: []Mapping{
					{events.WalkIns, 500, 0, retries, true},
					{events.VisitsEnded, 1000, time.Second, retries, true},
				},
				Writes: []string{events.EnrichedWalkIns},
				Tables: []string{IdentitiesTable, PendingTable}, Timeout: time.Minute, MemoryMB: 512,
			},
			{
				Name: Count, Does: "counts the walk-ins of each contact exactly once",
				Reads:  []Mapping{{events.EnrichedWalkIns, 500, 0, retries, true}},
				Writes: []string{events.WalkInCounts},
				Tables: []string{CountsTable}, Timeout: time.Minute, MemoryMB: 512,
			},
		},
	}
}
