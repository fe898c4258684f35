package events

import (
	"regexp"
	"testing"
)

// TestTopics: each topic has a legal and unique name, partitions, a key, and
// either compaction or a retention long enough for a replay.
func TestTopics(t *testing.T) {
	// Kafka allows more, but names with '.' and '_' collide in its metrics.
	legal := regexp.MustCompile(`^[a-z0-9-]{1,249}$`)
	seen := map[string]bool{}
	for _, topic := range Topics() {
		if !legal.MatchString(topic.Name) || seen[topic.Name] {
			t.Errorf("name %q is illegal or used twice", topic.Name)
		}
		seen[topic.Name] = true
		if topic.Partitions <= 0 {
			t.Errorf("%s: got %d partitions, want at least 1", topic.Name, topic.Partitions)
		}
		if topic.Compacted != (topic.Retention == 0) {
			t.Errorf("%s: got compacted %v with retention %v, want exactly one of them", topic.Name, topic.Compacted, topic.Retention)
		}
		if !topic.Compacted && topic.Retention < replayHorizon {
			t.Errorf("%s: got retention %v, want at least %v for a replay", topic.Name, topic.Retention, replayHorizon)
		}
		if topic.Key == "" {
			t.Errorf("%s: the form of its keys is not documented", topic.Name)
		}
	}
}

// TestDeadLetters: each topic has a dead-letter topic, with room for the headers
// that a dead letter adds. A dead-letter topic has no dead-letter topic.
func TestDeadLetters(t *testing.T) {
	dead := map[string]bool{}
	for _, topic := range Topics() {
		dead[topic.DeadLetters] = true
	}
	for _, topic := range Topics() {
		// A topic without dead letters must be a dead-letter topic.
		if topic.DeadLetters == "" {
			if !dead[topic.Name] {
				t.Errorf("%s has no dead-letter topic, and is not a dead-letter topic itself", topic.Name)
			}
			continue
		}
		// The dead-letter topic must exist, and be large enough.
		deadLetters, ok := TopicByName(topic.DeadLetters)
		if !ok {
			t.Errorf("%s: its dead-letter topic %s does not exist", topic.Name, topic.DeadLetters)
			continue
		}
		if deadLetters.DeadLetters != "" || deadLetters.Compacted || deadLetters.JSON {
			t.Errorf("%s: %+v is not a plain dead-letter topic", topic.Name, deadLetters)
		}
		if deadLetters.MaxMessage < topic.MaxMessage+deadLetterRoom || topic.MaxMessage < MaxValueBytes {
			t.Errorf("%s: messages of up to %d bytes, dead letters of up to %d: too little room for headers", topic.Name, topic.MaxMessage, deadLetters.MaxMessage)
		}
	}
}

// TestTopicsReturnsACopy: a change of the returned slice changes no other, and
// TopicByName finds every topic.
func TestTopicsReturnsACopy(t *testing.T) {
	Topics()[0].Name = "changed"
	if _, ok := TopicByName("changed"); ok {
		t.Error("a change of the returned slice changed the list of the package")
	}
	for _, name := range []string{Sightings, CRMEvents, CRMEventsBackfill, DeviceContacts, WalkIns, VisitsEnded, EnrichedWalkIns, WalkInCounts} {
		if topic, ok := TopicByName(name); !ok || topic.Name != name {
			t.Errorf("TopicByName(%s): got %+v, %v", name, topic, ok)
		}
	}
}

// TestEveryTopicHasASample: every topic has a sample, so the other tests decode its
// records.
func TestEveryTopicHasASample(t *testing.T) {
	has := map[string]bool{CRMEventsBackfill: true}
	for _, s := range samples() {
		has[s.topic] = true
	}
	for _, topic := range Topics() {
		if topic.DeadLetters != "" && !has[topic.Name] {
			t.Errorf("%s has no sample", topic.Name)
		}
	}
}
