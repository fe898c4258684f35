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

// sightingLine is a sighting as a line of NDJSON.
type sightingLine struct {
	events.Sighting
	ArrivedAt time.Time `json:"arrived_at"`
}

// WriteNDJSON writes items to w, a line each, in a form that Open reads back to
// equal items, their sources and what is finer than a millisecond apart.
func WriteNDJSON(w io.Writer, items iter.Seq[Item]) error {
	out := bufio.NewWriterSize(w, bufferBytes)
	n := 0
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

// marshal gives the line of an item without its end.
func marshal(it Item) ([]byte, error) {
	if it.CRM == nil {
		return json.Marshal(sightingLine{it.Sighting, it.ArrivedAt})
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
