package pipeline

import (
	"errors"
	"fmt"
	"time"

	"footfall/events"
)

// Limits of an event source mapping for Kafka (AWS Lambda developer guide,
// "Using Lambda with Amazon MSK").
const (
	maxBatchSize = 10_000
	maxWindow    = 300 * time.Second
	maxRetries   = 10_000
	maxTimeout   = 14 * time.Minute
)

// Validate checks the graph and returns every mistake in one error, or nil:
//
//   - names of stages and tables are unique
//   - every topic and table that a stage names exists, and every table is used
//   - every consumed topic has a dead-letter topic
//   - each stage has exactly one kind of trigger
//   - settings are within the limits of AWS
func (g Graph) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	// used has a key for each table, and true once a stage names the table.
	used := map[string]bool{}
	for _, t := range g.Tables {
		if _, ok := used[t.Name]; ok {
			bad("table %s is defined twice", t.Name)
		}
		used[t.Name] = false
	}
	// Stages mark the tables that they use.
	seen := map[string]bool{}
	for _, s := range g.Stages {
		if seen[s.Name] {
			bad("stage %s is defined twice", s.Name)
		}
		seen[s.Name] = true
		validateStage(s, used, bad)
	}
	// A table without a stage would be deployed for nothing.
	for name, isUsed := range used {
		if !isUsed {
			bad("table %s is used by no stage", name)
		}
	}
	return errors.Join(errs...)
}

// validateStage reports the mistakes of one stage to bad, and marks its tables as
// used.
func validateStage(s Stage, used map[string]bool, bad func(string, ...any)) {
	for _, m := range s.Reads {
		validateMapping(s.Name, m, bad)
	}
	for _, t := range s.Writes {
		if _, ok := events.TopicByName(t); !ok {
			bad("stage %s writes topic %s, which events does not define", s.Name, t)
		}
	}
	// Marking an undefined table as used keeps Validate from reporting it twice.
	for _, t := range s.Tables {
		if _, ok := used[t]; !ok {
			bad("stage %s uses table %s, which the graph does not define", s.Name, t)
		}
		used[t] = true
	}
	if countTriggers(s) != 1 {
		bad("stage %s needs exactly one of topics to read, a schedule and an HTTP API", s.Name)
	}
	if s.Timeout <= 0 || s.Timeout > maxTimeout {
		bad("stage %s: timeout %v is not within (0, %v]", s.Name, s.Timeout, maxTimeout)
	}
}

// countTriggers returns how many kinds of triggers a stage has.
func countTriggers(s Stage) (n int) {
	for _, has := range []bool{len(s.Reads) > 0, s.Schedule > 0, s.HTTP} {
		if has {
			n++
		}
	}
	return n
}

// validateMapping reports the mistakes of one mapping of a stage to bad.
func validateMapping(stage string, m Mapping, bad func(string, ...any)) {
	t, ok := events.TopicByName(m.Topic)
	// A record that the stage cannot process needs a dead-letter topic.
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
	if m.Retries < -1 || m.Retries > maxRetries {
		bad("stage %s on %s: %d retries are not within [-1, %d]", stage, m.Topic, m.Retries, maxRetries)
	}
}
