package pipeline

import (
	"slices"
	"time"
)

// Graph is the pipeline: what infra deploys and local runs.
type Graph struct {
	Stages []Stage
	Tables []Table
}

// Stage is one stage of the graph. Exactly one kind of trigger starts a stage: its
// topics, its schedule, or its HTTP API.
type Stage struct {
	Name     string
	Does     string        // one line in plain English, for descriptions and dashboards
	Reads    []Mapping     // topics to consume; none for a stage with a schedule or an HTTP API
	Writes   []string      // topics to produce to
	Tables   []string      // tables to read and write
	Timeout  time.Duration // of one invocation
	MemoryMB int
	Schedule time.Duration // interval of the schedule; 0 if the stage has none
	HTTP     bool          // an HTTP API invokes the stage once per request
}

// Mapping describes the event source mapping from one topic to a stage.
type Mapping struct {
	Topic     string
	BatchSize int           // records per invocation, at most 10,000
	Window    time.Duration // how long a batch may wait for more records; 0 for the lowest latency
	// Retries is how often a failed batch is redelivered before it goes to the
	// failure destination; -1 means without end.
	Retries int
	Bisect  bool // halve a batch that failed as a whole
}

// Table is a DynamoDB table: its name in the graph, its keys and its TTL.
type Table struct {
	Name         string
	PartitionKey Attribute
	SortKey      Attribute // Name is "" if the table has no sort key
	TTLAttribute string    // "" if items never expire
}

// Attribute is a key attribute. Type is DynamoDB's "S", "N" or "B".
type Attribute struct{ Name, Type string }

// Stage returns the stage with a name. ok is false if the graph has no such stage.
func (g Graph) Stage(name string) (s Stage, ok bool) {
	i := slices.IndexFunc(g.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return Stage{}, false
	}
	return g.Stages[i], true
}
