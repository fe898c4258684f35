package events

import "fmt"

// Encode appends event to dst in Avro's single-object encoding (C3 01, the
// schema's CRC-64-AVRO fingerprint in little-endian, the body) and gives the
// longer slice. event is a pointer to a record type of this package. Times are
// cut to milliseconds. Encode does not validate, see the Validate methods; it
// fails on what is no record, and then gives dst as it was.
func Encode(dst []byte, event any) ([]byte, error) {
	r := recordOf(event)
	if r == nil {
		return dst, fmt.Errorf("encoding a %T: not a pointer to a record", event)
	}
	out, err := r.schema.AppendSingleObject(dst, event)
	if err != nil {
		return dst, fmt.Errorf("encoding a %s: %w", r.name, err)
	}
	return out, nil
}

// recordOf gives nil for what is no pointer to a record.
func recordOf(event any) *record {
	switch event.(type) {
	case *Sighting:
		return sightingRecord
	case *Tick:
		return tickRecord
	case *PortalLogin:
		return portalLoginRecord
	case *ContactChanged:
		return contactChangedRecord
	case *ContactDeleted:
		return contactDeletedRecord
	case *DeviceContact:
		return deviceContactRecord
	case *WalkIn:
		return walkInRecord
	case *VisitEnded:
		return visitEndedRecord
	case *EnrichedWalkIn:
		return enrichedWalkInRecord
	case *WalkInCount:
		return walkInCountRecord
	default:
		return nil
	}
}

var (
	deviceContactReaders  = newReaders(deviceContactRecord)
	walkInReaders         = newReaders(walkInRecord)
	visitEndedReaders     = newReaders(visitEndedRecord)
	enrichedWalkInReaders = newReaders(enrichedWalkInRecord)
	walkInCountReaders    = newReaders(walkInCountRecord)
)

// DecodeDeviceContact decodes and validates a record of topic device-contacts.
// A null value, which there means that the device has no owner any more, is a
// *BadRecord with NullValue like everywhere: look at the value first. All its
// errors are *BadRecord.
func DecodeDeviceContact(key, value []byte) (DeviceContact, error) {
	return decode[DeviceContact](deviceContactReaders, key, value)
}

// DecodeWalkIn decodes and validates a record of topic walk-ins. All its errors
// are *BadRecord.
func DecodeWalkIn(key, value []byte) (WalkIn, error) {
	return decode[WalkIn](walkInReaders, key, value)
}

// DecodeVisitEnded decodes and validates a record of topic visits-ended. All
// its errors are *BadRecord.
func DecodeVisitEnded(key, value []byte) (VisitEnded, error) {
	return decode[VisitEnded](visitEndedReaders, key, value)
}

// DecodeEnrichedWalkIn decodes and validates a record of topic
// enriched-walk-ins. All its errors are *BadRecord.
func DecodeEnrichedWalkIn(key, value []byte) (EnrichedWalkIn, error) {
	return decode[EnrichedWalkIn](enrichedWalkInReaders, key, value)
}

// DecodeWalkInCount decodes and validates a record of topic walk-in-counts. All
// its errors are *BadRecord.
func DecodeWalkInCount(key, value []byte) (WalkInCount, error) {
	return decode[WalkInCount](walkInCountReaders, key, value)
}

// event is what every keyed record can do.
type event interface {
	Validate() error
	// keyParts gives what the record's key is made of; rest is "" where it is
	// the business alone.
	keyParts() (b BusinessID, rest string)
}

// decode is for topics of one record that take no JSON. On an error the value
// it gives is zero: what was half decoded must not be used.
func decode[T any, P interface {
	*T
	event
}](rs readers, key, value []byte) (T, error) {
	var v, zero T
	if err := rs.read(value, &v); err != nil {
		return zero, err
	}
	if err := check(P(&v), key); err != nil {
		return zero, err
	}
	return v, nil
}

// read is decode without its checks; rs are of one record and into points to
// its Go type.
func (rs readers) read(value []byte, into any) error {
	if err := checkSize(value); err != nil {
		return err
	}
	r, body, err := rs.find(value)
	if err != nil {
		return err
	}
	return r.decodeBody(body, into)
}

// checkSize is before anything looks into the value: whatever is allocated
// later is in proportion to its length.
func checkSize(value []byte) error {
	switch {
	case value == nil:
		return Bad(NullValue, "the record has a key only")
	case len(value) > MaxValueBytes:
		return Bad(TooLarge, "%d bytes, %d are allowed", len(value), MaxValueBytes)
	default:
		return nil
	}
}

// decodeBody decodes into a pointer to the Go type of the record and wants
// every byte used: a body with more behind it was written with another schema
// than its header says.
func (r reader) decodeBody(body []byte, into any) error {
	rest, err := r.schema.Decode(body, into)
	if err != nil {
		return Bad(Undecodable, "%s: %w", r.record.name, err)
	}
	if len(rest) > 0 {
		return Bad(Undecodable, "%s: %d bytes too many", r.record.name, len(rest))
	}
	return nil
}

// check validates a record and holds its key against it. A record under
// another key went to another partition than its device's or contact's other
// records, so nothing keeps their order.
func check(e event, key []byte) error {
	if err := e.Validate(); err != nil {
		return err
	}
	b, rest := e.keyParts()
	switch {
	case rest == "" && string(key) == string(b):
		return nil
	case rest == "":
		return Bad(KeyMismatch, "key %.*q, its value calls for %q", maxShown, key, b)
	case !isJoinedKey(key, string(b), rest):
		return Bad(KeyMismatch, "key %.*q, its value calls for %q", maxShown, key, joinKey(string(b), rest))
	default:
		return nil
	}
}

func (r *DeviceContact) keyParts() (BusinessID, string)  { return r.Business, string(r.Device) }
func (r *WalkIn) keyParts() (BusinessID, string)         { return r.Business, string(r.Device) }
func (r *VisitEnded) keyParts() (BusinessID, string)     { return r.Business, string(r.Device) }
func (r *EnrichedWalkIn) keyParts() (BusinessID, string) { return r.Business, string(r.Contact) }
func (r *WalkInCount) keyParts() (BusinessID, string)    { return r.Business, string(r.Contact) }
