// Package recording reads recorded sightings and CRM events back from files,
// in the order in which they reached the platform: CSV, NDJSON and captures of
// a Wi-Fi card (pcap, pcapng), each gzipped or not.
package recording

import (
	"strconv"
	"time"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// Item is one thing that was recorded: a CRM event where CRM is set, else a
// sighting.
type Item struct {
	Sighting  events.Sighting // zero where CRM is set
	CRM       *events.CRMEvent
	ArrivedAt time.Time // when it reached the platform, UTC; never goes back from item to item
	Source    Position
}

// Position is where an item was read.
type Position struct {
	File   string // as given to Open; "stdin" for "-"
	Number int64  // of the line or packet, from 1
	Packet bool   // Number counts the packets of a capture, not lines
}

// String gives "office.csv.gz:17", or "lobby.pcap: packet 17".
func (p Position) String() string {
	if p.Packet {
		return p.File + ": packet " + strconv.FormatInt(p.Number, 10)
	}
	return p.File + ":" + strconv.FormatInt(p.Number, 10)
}

// Options says what the files themselves may leave open.
type Options struct {
	// Business is the store of rows, lines and packets that name none.
	Business events.BusinessID
	// Device makes the pseudonyms of MAC addresses. Only files that hold no MAC
	// address are read without it.
	Device pseudonym.Maker
}

// Stats counts what was read and what was left out.
type Stats struct {
	Sightings int64
	CRMEvents int64
	// Multicast counts sightings whose transmitter has a multicast address.
	// Nobody may send from one; in the recordings looked at they are bursts of
	// up to four frames, never heard again, one frame in 400. They are left out.
	Multicast int64
	// Of a capture's packets: those that cannot be decoded or were received
	// damaged, probe requests without a signal strength, and everything else
	// that is no probe request. All are left out.
	Malformed, NoSignal, OtherFrames int64
}
