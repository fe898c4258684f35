package offline

import (
	"io"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/recording"
)

// chatter is a source with a sighting every second.
type chatter struct{ said int }

func (c *chatter) Next() (recording.Item, error) {
	if c.said == 1200 {
		return recording.Item{}, io.EOF
	}
	at := time.Date(2026, 3, 2, 12, 0, c.said, 0, time.UTC)
	c.said++
	return recording.Item{ArrivedAt: at, Sighting: events.Sighting{
		Business: "shop", Sensor: "door", Device: "a", RSSI: events.RSSI(-60 - c.said%7), SeenAt: at,
	}}, nil
}

// Repeated sightings of a phone in the same step take no memory, as the trace
// promises.
func TestRepeatedSightingsOfAStepUseNoMemory(t *testing.T) {
	trace, err := Load(&chatter{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// 20 minutes are 10 steps, with 7 signal strengths in each.
	if got := len(trace.devices[0].heard); got != 70 || trace.Sightings != 1200 {
		t.Errorf("%d of %d sightings are kept, want 70 of 1200", got, trace.Sightings)
	}
}
