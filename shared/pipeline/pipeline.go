// Package pipeline is the graph of Footfall as validated data: the stages, the
// topics that they read and write, the tables, and the names of the consumer
// groups. infra deploys the graph to AWS, local runs it on one machine.
//
// Start with Default, which returns the graph, and Graph.Validate, which lists
// the rules that a graph keeps.
package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"footfall/events"
)

// Names of the stages: the same word names the function's folder, the stage's
// file (ingest has package shared/ingest) and the stage in logs and dead letters.
const (
	Ingest   = "ingest"
	Detect   = "detect"
	Identify = "identify"
	Enrich   = "enrich"
	Count    = "count"
	Tick     = "tick"
)

// Table is a DynamoDB table: its name in the graph and what its items are
// found by.
type Table struct {
	Name         string
	PartitionKey Attribute
	SortKey      Attribute // Name "" for none
	TTLAttribute string    // "" where items never expire
}

// Attribute is a key attribute; Type is DynamoDB's "S", "N" or "B".
type Attribute struct{ Name, Type string }

// Names of the tables.
const (
	VisitLogTable   = "visit-log"
	IdentitiesTable = "identities"
	PendingTable    = "pending"
	CountsTable     = "counts"
	BusinessesTable = "businesses"
)

// Mapping is how an event source mapping feeds a stage from one topic.
type Mapping struct {
	Topic     string
	BatchSize int           // records per invocation, at most 10,000
	Window    time.Duration // how long a batch may wait to fill; 0 for the lowest latency
	// Retries is how often a failed batch is given again before it goes to the
	// failure destination; -1 for ever.
	Retries int
	Bisect  bool // halve a batch that failed as a whole
}

// Stage is one stage of the graph.
type Stage struct {
	Name     string
	Does     string        // one line for people
	Reads    []Mapping     // none for a stage that a schedule or an HTTP API starts
	Writes   []string      // topics
	Tables   []string      // read and written
	Timeout  time.Duration // of one invocation
	MemoryMB int
	Schedule time.Duration // how often a schedule starts it; 0 for never
	HTTP     bool          // an HTTP API starts it with each request
}

// Graph is the pipeline: what infra deploys and local runs.
type Graph struct {
	Stages []Stage
	Tables []Table
}

// retries is explicit, since an event source mapping with a failure
// destination silently takes 10 where none is given. What still fails after
// minutes of retries goes to the failure destination for people to look at.
const retries = 100

// Default is the one graph of Footfall.
func Default() Graph {
	return Graph{
		Tables: []Table{
			{VisitLogTable, Attribute{"chain", "S"}, Attribute{"seq", "N"}, "expires"},
			{IdentitiesTable, Attribute{"pk", "S"}, Attribute{}, "expires"},
			{PendingTable, Attribute{"pk", "S"}, Attribute{"sk", "S"}, "expires"},
			{CountsTable, Attribute{"pk", "S"}, Attribute{"month", "S"}, ""},
			{BusinessesTable, Attribute{"pk", "S"}, Attribute{}, ""},
		},
		Stages: []Stage{
			{
				Name: Ingest, Does: "takes what routers post: checks it, makes pseudonyms of addresses",
				Writes: []string{events.Sightings, events.CRMEvents},
				Tables: []string{BusinessesTable}, Timeout: 25 * time.Second, MemoryMB: 1024, HTTP: true,
			},
			{
				Name: Tick, Does: "tells every partition of sightings the time",
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
				Name: Enrich, Does: "finds whose walk-in it is, or keeps it until a login tells",
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

// LocalDeployment is the name of the deployment that the local stack runs.
const LocalDeployment = "footfall"

// Group returns the consumer group with which a stage of a deployment reads a
// topic. A group cannot be renamed once it has committed offsets. CloudWatch
// estimates a lag in time only for groups in ASCII without a colon.
func Group(deployment, stage, topic string) string {
	return deployment + "-" + stage + "-" + topic
}

// Stage finds a stage by name; ok is false for a name not in the graph.
func (g Graph) Stage(name string) (s Stage, ok bool) {
	i := slices.IndexFunc(g.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return Stage{}, false
	}
	return g.Stages[i], true
}

// Limits of an event source mapping for Kafka (AWS Lambda developer guide,
// "Using Lambda with Amazon MSK").
const (
	maxBatchSize = 10_000
	maxWindow    = 300 * time.Second
	maxTimeout   = 14 * time.Minute
)

// Validate checks that the graph holds together: every topic and table it names
// exists, every table is used, names are unique, one thing starts each stage,
// settings are within AWS's limits. It reports every mistake at once.
func (g Graph) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	tables := map[string]bool{}
	for _, t := range g.Tables {
		if _, ok := tables[t.Name]; ok {
			bad("table %s is there twice", t.Name)
		}
		tables[t.Name] = false
	}
	seen := map[string]bool{}
	for _, s := range g.Stages {
		if seen[s.Name] {
			bad("stage %s is there twice", s.Name)
		}
		seen[s.Name] = true
		for _, m := range s.Reads {
			validateMapping(s.Name, m, bad)
		}
		for _, t := range s.Writes {
			if _, ok := events.TopicByName(t); !ok {
				bad("stage %s writes topic %s, which events does not define", s.Name, t)
			}
		}
		for _, t := range s.Tables {
			if _, ok := tables[t]; !ok {
				bad("stage %s uses table %s, which the graph does not define", s.Name, t)
			}
			tables[t] = true
		}
		if triggers(s) != 1 {
			bad("stage %s needs either a topic to read, a schedule or an HTTP API", s.Name)
		}
		if s.Timeout <= 0 || s.Timeout > maxTimeout {
			bad("stage %s: timeout %v is not within (0, %v]", s.Name, s.Timeout, maxTimeout)
		}
	}
	for name, used := range tables {
		if !used {
			bad("table %s is used by no stage", name)
		}
	}
	return errors.Join(errs...)
}

// triggers counts the kinds of things that start a stage.
func triggers(s Stage) (n int) {
	for _, is := range []bool{len(s.Reads) > 0, s.Schedule > 0, s.HTTP} {
		if is {
			n++
		}
	}
	return n
}

func validateMapping(stage string, m Mapping, bad func(string, ...any)) {
	t, ok := events.TopicByName(m.Topic)
	switch {
	case !ok:
		bad("stage %s reads topic %s, which events does not define", stage, m.Topic)
	case t.DeadLetters == "":
		bad("stage %s reads topic %s, which has no dead-letter topic", stage, m.Topic)
	}
	if m.BatchSize < 1 || m.BatchSize > maxBatchSize {
		bad("stage %s on %s: batch size %d is not within [1, %d]", stage, m.Topic, m.BatchSize, maxBatchSize)
	}
	if m.Window < 0 || m.Window > maxWindow {
		bad("stage %s on %s: window %v is not within [0, %v]", stage, m.Topic, m.Window, maxWindow)
	}
	if m.Retries < -1 || m.Retries > 10_000 {
		bad("stage %s on %s: %d retries are not within [-1, 10000]", stage, m.Topic, m.Retries)
	}
}
