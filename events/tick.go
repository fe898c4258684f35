package events

import "time"

// Tick sets the watermark of one partition: how far event time has come.
// Topic: sightings. The stage tick writes one Tick to every partition by its
// number, so a Tick may have any key.
type Tick struct {
	// At is the watermark of the partition from this record on. The latest Tick
	// of a partition counts: an earlier At changes nothing.
	At time.Time `avro:"at" json:"at"`
}

var tickType = mustRecordType(schemaFiles, "tick")

// Validate checks every field, see [Sighting.Validate].
func (r *Tick) Validate() error { return validTime("at", r.At) }

func (*Tick) recordType() *recordType { return tickType }
