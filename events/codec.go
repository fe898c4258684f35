package events

import "fmt"

// encodable is the interface of every record of this package, as a pointer.
type encodable interface {
	recordType() *recordType
}

// keyed is the interface of every record that has a key of its own: all but
// Tick.
type keyed interface {
	// Validate is documented at Sighting.
	Validate() error
	// keyParts returns the parts of the record's key. If the key is the business
	// alone, rest is "".
	keyParts() (b BusinessID, rest string)
}

// Encode appends event to dst in Avro's single-object encoding (C3 01, the
// schema's CRC-64-AVRO fingerprint in little-endian, the body) and returns the
// longer slice. event is a pointer to a record of this package. Times are cut to
// milliseconds.
//
// Encode does not validate; see the Validate methods. If event is not a pointer
// to a record, Encode returns dst unchanged and an error.
func Encode(dst []byte, event any) ([]byte, error) {
	e, ok := event.(encodable)
	if !ok {
		return dst, fmt.Errorf("encoding a %T: not a pointer to a record of package events", event)
	}
	r := e.recordType()
	out, err := r.current.AppendSingleObject(dst, event)
	if err != nil {
		return dst, fmt.Errorf("encoding a %s: %w", r.name, err)
	}
	return out, nil
}

// decode decodes and validates a record of a topic that has one record type and
// accepts no JSON. If it returns an error the record is zero, so no caller can
// use a record that is decoded by half.
func decode[T any, P interface {
	*T
	keyed
}](ds decoders, key, value []byte) (T, error) {
	var v, zero T
	if err := ds.decodeInto(&v, value); err != nil {
		return zero, err
	}
	if err := check(P(&v), key); err != nil {
		return zero, err
	}
	return v, nil
}

// decodeInto decodes value without checks of its fields and key. The decoders
// are of one record type, and into points to the Go type of that record.
func (ds decoders) decodeInto(into any, value []byte) error {
	if err := checkSize(value); err != nil {
		return err
	}
	d, body, err := ds.find(value)
	if err != nil {
		return err
	}
	return d.decodeBody(body, into)
}

// checkSize comes before every other look at the value: all later allocations
// are in proportion to the length of the value.
func checkSize(value []byte) error {
	switch {
	case value == nil:
		return Bad(NullValue, "the record has a key only")
	case len(value) > MaxValueBytes:
		return Bad(TooLarge, "the value has %d bytes, at most %d are allowed", len(value), MaxValueBytes)
	default:
		return nil
	}
}

// decodeBody decodes body into a pointer to the Go type of the record. Bytes
// left over are an error: such a body was written with another schema than its
// header names.
func (d decoder) decodeBody(body []byte, into any) error {
	// The library checks every length against the rest of the body.
	rest, err := d.schema.Decode(body, into)
	if err != nil {
		return Bad(Undecodable, "%s: %w", d.record.name, err)
	}
	if len(rest) > 0 {
		return Bad(Undecodable, "%s: %d bytes too many", d.record.name, len(rest))
	}
	return nil
}

// check validates the fields of a record and compares key with the key that the
// fields call for. A record under another key went to another partition than the
// other records of its device or contact, so nothing keeps their order.
func check(e keyed, key []byte) error {
	if err := e.Validate(); err != nil {
		return err
	}
	// The comparison allocates nothing if the key is right, which it nearly always
	// is.
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
