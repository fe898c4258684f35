package events

import "fmt"

// Reason says why a record can never be processed. It goes into a header of
// the dead letter and is the label of a metric.
type Reason string

// The closed set of reasons.
const (
	NullValue     Reason = "null-value"     // no value where one is needed
	TooLarge      Reason = "too-large"      // over MaxValueBytes
	Undecodable   Reason = "undecodable"    // neither single-object Avro nor JSON where that is accepted, or cut short
	UnknownSchema Reason = "unknown-schema" // a fingerprint, or a "type" in JSON, of no record of this topic: often a producer ahead of us
	InvalidField  Reason = "invalid-field"  // decoded, but a field is outside of its range
	KeyMismatch   Reason = "key-mismatch"   // the key is not the one its value calls for, so order is not kept
	// WrongPartition is a record in another partition than murmur2 of its key
	// calls for: its producer uses another partitioner, and one device would be
	// decided on in two places.
	WrongPartition   Reason = "wrong-partition"
	TooManyDevices   Reason = "too-many-devices" // a login of a contact that has more devices than a person can have
	AheadOfWatermark Reason = "ahead-of-clock"   // seen-at too far in the future of the partition's clock
)

// MaxValueBytes bounds the value of a record on a topic that foreign producers
// write to. A real one takes a few hundred bytes.
const MaxValueBytes = 64 << 10

// BadRecord is the error for a record that can never be processed, however
// often it is tried. Everything else is worth a retry.
type BadRecord struct {
	Reason Reason
	Err    error
}

// Error gives the reason and what was found.
func (e *BadRecord) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

// Unwrap gives what was found.
func (e *BadRecord) Unwrap() error { return e.Err }

// Bad makes a BadRecord with a formatted message.
func Bad(r Reason, format string, args ...any) error {
	return &BadRecord{Reason: r, Err: fmt.Errorf(format, args...)}
}
