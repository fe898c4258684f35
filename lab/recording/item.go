// Package recording reads recorded sightings and CRM events from files, in the
// order in which they reached the platform. It reads CSV, NDJSON and captures
// of a Wi-Fi card (pcap, pcapng), each gzipped or not, and writes NDJSON.
//
// Start reading at Item and Open. decode.go chooses the decoder of a file,
// csv.go, ndjson.go and capture.go hold one each, record.go and values.go read
// the values of CSV and NDJSON, sorted.go sorts files that are not in the order
// of arrival.
package recording

import (
	"strconv"
	"time"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// Item is one recorded event: a CRM event if CRM is set, else a sighting.
type Item struct {
	Sighting  events.Sighting // zero if CRM is set
	CRM       *events.CRMEvent
	ArrivedAt time.Time // when the item reached the platform, UTC; never decreases from item to item
	Source    Position
}

// Position is the place in a file from which an item was read.
type Position struct {
	File   string // as given to Open; "stdin" for "-"
	Number int64  // number of the line or packet, from 1
	Packet bool   // whether Number counts packets of a capture instead of lines
}

// String returns "office.csv.gz:17", or "lobby.pcap: packet 17".
func (p Position) String() string {
	if p.Packet {
		return p.File + ": packet " + strconv.FormatInt(p.Number, 10)
	}
	return p.File + ":" + strconv.FormatInt(p.Number, 10)
}

// Options holds what the files themselves may leave open.
type Options struct {
	// Business is the store of rows, lines and packets that name no business.
	Business events.BusinessID
	// Device makes the pseudonyms of MAC addresses. Without it, a file that
	// holds a MAC address is an error.
	Device pseudonym.Maker
	// Strict makes a file that is cut off at its end, or damaged so that the
	// rest of it cannot be found, an error. Otherwise everything before that
	// place is read, and a note names the place.
	Strict bool
}

// Stats counts the items read and the records left out.
type Stats struct {
	Sightings int64
	CRMEvents int64
	LeftOut   Counts
}
