package events

// SightingsRecord is what topic sightings carries: a sighting or a tick.
type SightingsRecord struct {
	IsTick   bool
	Tick     Tick     // where IsTick
	Sighting Sighting // where not
}

var sightingsReaders = newReaders(sightingRecord, tickRecord)

// DecodeSightings decodes and validates a record of topic sightings into into,
// all of which it overwrites; after an error its content means nothing. A
// sighting may be Avro or JSON, a tick is Avro only and its key is free: it is
// sent to every partition by number. All its errors are *BadRecord.
//
// The strings of into do not point into value, but those of a few records share
// a chunk of 1 KB: clone what outlives the batch.
func DecodeSightings(key, value []byte, into *SightingsRecord) error {
	*into = SightingsRecord{}
	if err := checkSize(value); err != nil {
		return err
	}
	if isJSON(value) {
		if err := into.Sighting.readJSON(value); err != nil {
			return err
		}
		return check(&into.Sighting, key)
	}
	r, body, err := sightingsReaders.find(value)
	if err != nil {
		return err
	}
	if r.record == tickRecord {
		into.IsTick = true
		if err := r.decodeBody(body, &into.Tick); err != nil {
			return err
		}
		return into.Tick.Validate()
	}
	if err := r.decodeBody(body, &into.Sighting); err != nil {
		return err
	}
	return check(&into.Sighting, key)
}

func (r *Sighting) keyParts() (BusinessID, string) { return r.Business, string(r.Device) }

// readJSON reads what json.Marshal of a Sighting gives. As everywhere, a field
// may be missing where the schema has a default for it.
func (r *Sighting) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "sensor", into: (*string)(&r.Sensor)},
		jsonField{name: "device", into: (*string)(&r.Device)},
		jsonField{name: "rssi_dbm", into: (*int32)(&r.RSSI)},
		jsonField{name: "seen_at", into: &r.SeenAt},
		jsonField{name: "associated", into: &r.Associated, optional: true},
		jsonField{name: "randomised", into: &r.Randomised, optional: true},
	)
}
