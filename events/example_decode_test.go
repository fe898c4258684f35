package events_test

import (
	"errors"
	"fmt"
	"time"

	"footfall/events"
)

// printRecord decodes a record with the decoder of its topic.
func printRecord(topic string, key, value []byte) error {
	switch topic {
	case events.Sightings:
		var r events.SightingsRecord
		if err := events.DecodeSightings(key, value, &r); err != nil {
			return err
		}
		if r.IsTick {
			fmt.Println("tick: the watermark is", r.Tick.At.Format(time.RFC3339))
			return nil
		}
		fmt.Printf("sighting: %s heard %s at %d dBm\n", r.Sighting.Sensor, r.Sighting.Device, r.Sighting.RSSI)
	case events.CRMEvents, events.CRMEventsBackfill:
		e, err := events.DecodeCRM(key, value)
		if err != nil {
			return err
		}
		switch {
		case e.Login != nil:
			fmt.Printf("login: %s with %s\n", e.Login.Contact, e.Login.Device)
		case e.Changed != nil:
			fmt.Printf("change of %s\n", e.Changed.Contact)
		case e.Deleted != nil:
			fmt.Printf("deletion of %s\n", e.Deleted.Contact)
		}
	case events.WalkIns:
		w, err := events.DecodeWalkIn(key, value)
		if err != nil {
			return err
		}
		fmt.Printf("walk-in %s: confirmed %v after its start\n", w.ID, w.ConfirmedAt.Sub(w.StartedAt))
	}
	return nil
}

// Every topic has one decoder. An error of a decoder is a *BadRecord: the record
// belongs to the dead letters, and a retry does not help.
func Example_decode() {
	noon := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	key := events.DeviceKey("cafe-1", "k3Jw0fUyZr5nQm8sTq1vXA")
	tick, err := events.Encode(nil, &events.Tick{At: noon})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Records as a consumer gets them.
	records := []struct {
		topic      string
		key, value []byte
	}{
		// Foreign producers may send JSON on sightings and the CRM topics.
		{events.Sightings, key, []byte(`{"business":"cafe-1","sensor":"door","device":"k3Jw0fUyZr5nQm8sTq1vXA",` +
			`"rssi_dbm":-61,"seen_at":"2026-11-02T12:00:00Z"}`)},
		{events.Sightings, nil, tick},
		{events.CRMEvents, events.BusinessKey("cafe-1"), []byte(`{"type":"portal-login","business":"cafe-1",` +
			`"device":"k3Jw0fUyZr5nQm8sTq1vXA","contact":"contact-17","at":"2026-11-02T12:09:00Z"}`)},
		// A null value, which topic walk-ins does not allow.
		{events.WalkIns, key, nil},
	}
	for _, r := range records {
		err := printRecord(r.topic, r.key, r.value)
		if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
			fmt.Println("dead letter:", bad.Reason)
		}
	}
	// Output:
	// sighting: door heard k3Jw0fUyZr5nQm8sTq1vXA at -61 dBm
	// tick: the watermark is 2026-11-02T12:00:00Z
	// login: contact-17 with k3Jw0fUyZr5nQm8sTq1vXA
	// dead letter: null-value
}
