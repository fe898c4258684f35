package events

import (
	"regexp"
	"testing"
)

// TestTopics: the list holds together and a broker takes it.
func TestTopics(t *testing.T) {
	// Kafka takes more, but a name with '.' and one with '_' collide in metrics.
	legal := regexp.MustCompile(`^[a-z0-9-]{1,249}$`)
	seen := map[string]bool{}
	for _, topic := range Topics() {
		if !legal.MatchString(topic.Name) || seen[topic.Name] {
			t.Errorf("name %q is illegal or taken", topic.Name)
		}
		seen[topic.Name] = true
		if topic.Partitions <= 0 {
			t.Errorf("%s: %d partitions", topic.Name, topic.Partitions)
		}
		if topic.Compacted != (topic.Retention == 0) {
			t.Errorf("%s: compacted %v with retention %v", topic.Name, topic.Compacted, topic.Retention)
		}
		if !topic.Compacted && topic.Retention < replayHorizon {
			t.Errorf("%s: retention %v is shorter than a replay", topic.Name, topic.Retention)
		}
		if topic.Key == "" {
			t.Errorf("%s: nobody says what its keys are", topic.Name)
		}
	}
}

// TestDeadLetters: each topic has a topic for what can never be processed, with
// room for the headers that say why, and dead letters have no dead letters.
func TestDeadLetters(t *testing.T) {
	dead := map[string]bool{}
	for _, topic := range Topics() {
		dead[topic.DeadLetters] = true
	}
	for _, topic := range Topics() {
		if topic.DeadLetters == "" {
			if !dead[topic.Name] {
				t.Errorf("%s has no dead letters and is none", topic.Name)
			}
			continue
		}
		letters, ok := TopicByName(topic.DeadLetters)
		if !ok {
			t.Errorf("%s: dead letters %s do not exist", topic.Name, topic.DeadLetters)
			continue
		}
		if letters.DeadLetters != "" || letters.Compacted || letters.JSON {
			t.Errorf("%s: %+v is no dead-letter topic", topic.Name, letters)
		}
		if letters.MaxMessage < topic.MaxMessage+deadLetterRoom || topic.MaxMessage < MaxValueBytes {
			t.Errorf("%s: messages of %d, dead letters of %d bytes", topic.Name, topic.MaxMessage, letters.MaxMessage)
		}
	}
}

// TestTopicsAreTheCallers: changing the list one got changes nobody else's.
func TestTopicsAreTheCallers(t *testing.T) {
	Topics()[0].Name = "changed"
	if _, ok := TopicByName("changed"); ok {
		t.Error("the list of the package changed")
	}
	for _, name := range []string{Sightings, CRMEvents, CRMEventsBackfill, DeviceContacts, WalkIns, VisitsEnded, EnrichedWalkIns, WalkInCounts} {
		if topic, ok := TopicByName(name); !ok || topic.Name != name {
			t.Errorf("%s: found %+v, %v", name, topic, ok)
		}
	}
}

// TestEveryTopicHasASample: a topic that is added is also decoded and tested.
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
