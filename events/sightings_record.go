package events

// SightingsRecord is one record of topic sightings: a sighting or a tick.
type SightingsRecord struct {
	IsTick   bool
	Tick     Tick     // set if IsTick is true
	Sighting Sighting // set if IsTick is false
}

var sightingsDecoders = newDecoders(sightingType, tickType)

// DecodeSightings decodes and validates a record of topic sightings into into.
// It overwrites all of into; after an error, into must not be used. A sighting
// may be Avro or JSON. A tick is Avro only, and may have any key. Every error is
// a *BadRecord.
//
// The strings of into do not point into value. But the strings of a few records
// share a chunk of 1 KB: clone every string that outlives the batch.
func DecodeSightings(key, value []byte, into *SightingsRecord) error {
	*into = SightingsRecord{}
	if err := checkSize(value); err != nil {
		return err
	}
	// JSON holds sightings of foreign producers, never ticks.
	if isJSON(value) {
		if err := into.Sighting.readJSON(value); err != nil {
			return err
		}
		return check(&into.Sighting, key)
	}
	d, body, err := sightingsDecoders.find(value)
	if err != nil {
		return err
	}
	// A tick goes to every partition by number, so its key is not checked.
	if d.record == tickType {
		into.IsTick = true
		if err := d.decodeBody(body, &into.Tick); err != nil {
			return err
		}
		return into.Tick.Validate()
	}
	if err := d.decodeBody(body, &into.Sighting); err != nil {
		return err
	}
	return check(&into.Sighting, key)
}
