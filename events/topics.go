package events

import "time"

// Topic is the description of one Kafka topic as it must exist on the cluster.
type Topic struct {
	Name       string
	Key        string // the form of the record keys, for documentation
	Partitions int32
	Retention  time.Duration // 0 if the topic is compacted
	Compacted  bool
	// MaxMessage is the maximum size of one record batch as the broker counts it,
	// in bytes.
	MaxMessage int32
	// JSON is true if foreign producers may send plain JSON values.
	JSON bool
	// DeadLetters is the name of the topic for records that a stage can never
	// process. It is empty for a dead-letter topic itself.
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
	// replayHorizon is how much history can be processed again.
	replayHorizon = 90 * day
	// maxMessage is Kafka's default for max.message.bytes.
	maxMessage = 1 << 20
	// deadLetterRoom is the room for the headers that a dead letter adds. A record
	// at the size limit still fits into the dead-letter topic with them.
	deadLetterRoom = 64 << 10
)

// topics is the list that Topics returns.
var topics = withDeadLetters([]Topic{
	{Name: Sightings, Key: "business/device", Partitions: 32, Retention: replayHorizon, JSON: true},
	// The key business keeps the logins and deletions of one business in order.
	{Name: CRMEvents, Key: "business", Partitions: 8, Retention: replayHorizon, JSON: true},
	{Name: CRMEventsBackfill, Key: "business", Partitions: 8, Retention: replayHorizon, JSON: true},
	{Name: DeviceContacts, Key: "business/device", Partitions: 8, Compacted: true},
	{Name: WalkIns, Key: "business/device", Partitions: 16, Retention: replayHorizon},
	{Name: VisitsEnded, Key: "business/device", Partitions: 16, Retention: replayHorizon},
	{Name: EnrichedWalkIns, Key: "business/contact", Partitions: 16, Retention: replayHorizon},
	{Name: WalkInCounts, Key: "business/contact", Partitions: 16, Compacted: true},
})

// withDeadLetters returns ts with a dead-letter topic behind each topic.
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

// Topics returns every topic, each followed by its dead-letter topic. The caller
// may change the slice.
func Topics() []Topic { return append([]Topic(nil), topics...) }

// TopicByName returns the topic of that name. ok is false if Topics holds no
// such topic.
func TopicByName(name string) (t Topic, ok bool) {
	for _, t := range topics {
		if t.Name == name {
			return t, true
		}
	}
	return Topic{}, false
}
