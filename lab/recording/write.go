package recording

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"footfall/events"
)

// sightingLine is a sighting as a line of NDJSON. Session hides the field of the
// sighting, to leave it out of the lines that have none.
type sightingLine struct {
	events.Sighting
	Session   events.Session `json:"session,omitempty"`
	ArrivedAt time.Time      `json:"arrived_at"`
}

// WriteNDJSON writes items to w, one line each. Open reads the lines back to
// equal items, except for their sources and times finer than a millisecond.
// Errors name the number of the item, from 1.
func WriteNDJSON(w io.Writer, items iter.Seq[Item]) error {
	out := bufio.NewWriterSize(w, bufferBytes)
	n := 0
	// Encode and write line by line.
	for it := range items {
		n++
		line, err := marshal(it)
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
		if err != nil {
			return fmt.Errorf("writing item %d: %w", n, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing items: %w", err)
	}
	return nil
}

// marshal returns the line of an item without its line end.
func marshal(it Item) ([]byte, error) {
	if it.CRM == nil {
		return json.Marshal(sightingLine{it.Sighting, it.Sighting.Session, it.ArrivedAt})
	}
	line, err := json.Marshal(it.CRM)
	if err != nil {
		return nil, err
	}
	at, err := json.Marshal(it.ArrivedAt)
	if err != nil {
		return nil, err
	}
	// The object of a CRM event is the event's own; one more field goes at its end.
	line = append(line[:len(line)-1], `,"arrived_at":`...)
	return append(append(line, at...), '}'), nil
}
