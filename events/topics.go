package events

import "time"

// Topic is one Kafka topic of the pipeline as it must exist.
type Topic struct {
	Name       string
	Key        string // what its record keys are made of, for readers
	Partitions int32
	Retention  time.Duration // 0 where the topic is compacted
	Compacted  bool
	// MaxMessage bounds one record batch as the broker counts it, in bytes.
	MaxMessage int32
	// JSON says that foreign producers may send plain JSON values.
	JSON bool
	// DeadLetters names the topic that takes what a stage can never process;
	// empty for a dead-letter topic itself.
	DeadLetters string
}

// Names of the topics.
const (
	Sightings         = "sightings"
	CRMEvents         = "crm-events"
	CRMEventsBackfill = "crm-events-backfill"
	DeviceContacts    = "device-contacts"
	WalkIns           = "walk-ins"
	VisitsEnded       = "visits-ended"
	EnrichedWalkIns   = "enriched-walk-ins"
	WalkInCounts      = "walk-in-counts"
)

const (
	day = 24 * time.Hour
	// replayHorizon is how far back history can be processed anew.
	replayHorizon = 90 * day
	// maxMessage is Kafka's own default for max.message.bytes.
	maxMessage = 1 << 20
	// deadLetterRoom is what provenance headers may add to a dead letter, so
	// that a record at the size limit still fits beside them.
	deadLetterRoom = 64 << 10
)

// topics is the one list of topics; see Topics.
var topics = withDeadLetters([]Topic{
	{Name: Sightings, Key: "business/device", Partitions: 32, Retention: replayHorizon, JSON: true},
	// One business keeps the order of its logins and deletions.
	{Name: CRMEvents, Key: "business", Partitions: 8, Retention: replayHorizon, JSON: true},
	{Name: CRMEventsBackfill, Key: "business", Partitions: 8, Retention: replayHorizon, JSON: true},
	{Name: DeviceContacts, Key: "business/device", Partitions: 8, Compacted: true},
	{Name: WalkIns, Key: "business/device", Partitions: 16, Retention: replayHorizon},
	{Name: VisitsEnded, Key: "business/device", Partitions: 16, Retention: replayHorizon},
	{Name: EnrichedWalkIns, Key: "business/contact", Partitions: 16, Retention: replayHorizon},
	{Name: WalkInCounts, Key: "business/contact", Partitions: 16, Compacted: true},
})

func withDeadLetters(ts []Topic) []Topic {
	all := make([]Topic, 0, 2*len(ts))
	for _, t := range ts {
		t.MaxMessage = maxMessage
		t.DeadLetters = t.Name + "-dead-letters"
		all = append(all, t, Topic{
			Name:       t.DeadLetters,
			Key:        "as in " + t.Name,
			Partitions: 4,
			Retention:  replayHorizon,
			MaxMessage: maxMessage + deadLetterRoom,
		})
	}
	return all
}

// Topics lists every topic, each followed by its dead-letter topic. The slice
// is the caller's.
func Topics() []Topic { return append([]Topic(nil), topics...) }

// TopicByName finds a topic of Topics; ok is false for a name not in it.
func TopicByName(name string) (t Topic, ok bool) {
	for _, t := range topics {
		if t.Name == name {
			return t, true
		}
	}
	return Topic{}, false
}
