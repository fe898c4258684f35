package events_test

import (
	"fmt"
	"time"

	"footfall/events"
)

// A producer validates foreign data, encodes the record, and sends it to the
// topic under the key that the record's comment names.
func ExampleEncode() {
	start := time.Date(2026, 11, 2, 12, 0, 10, 0, time.UTC)
	w := events.WalkIn{
		ID:       events.NewWalkInID("cafe-1", "k3Jw0fUyZr5nQm8sTq1vXA", start),
		Business: "cafe-1", Device: "k3Jw0fUyZr5nQm8sTq1vXA",
		StartedAt: start, ConfirmedAt: start.Add(6 * time.Minute),
	}
	if err := w.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	key := events.DeviceKey(w.Business, w.Device)
	value, err := events.Encode(nil, &w)
	if err != nil {
		fmt.Println(err)
		return
	}
	topic, _ := events.TopicByName(events.WalkIns)
	fmt.Printf("topic %s, partition %d, key %s\n", topic.Name, events.Partition(key, topic.Partitions), key)
	fmt.Printf("header % x, %d bytes in all\n", value[:10], len(value))
	// Output:
	// topic walk-ins, partition 11, key cafe-1/k3Jw0fUyZr5nQm8sTq1vXA
	// header c3 01 ec 5c 73 97 6c ef 13 19, 86 bytes in all
}
