package events

import "fmt"

// Reason is the cause for which a record can never be processed. The dead letter
// carries the Reason in a header, and a metric has it as its label, so the
// strings never change.
type Reason string

// The closed set of reasons. The decoders of this package return those down to
// KeyMismatch; the stages find the others.
const (
	NullValue     Reason = "null-value"     // the record has no value, and its topic needs one
	TooLarge      Reason = "too-large"      // the value is longer than MaxValueBytes
	Undecodable   Reason = "undecodable"    // the value is cut short, or is neither single-object Avro nor, if the topic accepts it, JSON
	UnknownSchema Reason = "unknown-schema" // the fingerprint, or "type" in JSON, is of no record of this topic; often the producer is newer than the consumer
	InvalidField  Reason = "invalid-field"  // the value decodes, but a field is out of its range
	KeyMismatch   Reason = "key-mismatch"   // the key is not the one that the value calls for, so nothing keeps the order of the records

	// WrongPartition is a record in another partition than murmur2 of its key
	// calls for: its producer uses another partitioner. If the record were
	// accepted, two partitions would decide on one device.
	WrongPartition   Reason = "wrong-partition"
	TooManyDevices   Reason = "too-many-devices" // a login of a contact that has more devices than a person can have
	AheadOfWatermark Reason = "ahead-of-clock"   // the event time is too far ahead: of the partition's watermark, or for a tick of the record's timestamp
)

// MaxValueBytes is the maximum length of a record's value. A real value has a
// few hundred bytes; the limit is for foreign producers.
const MaxValueBytes = 64 << 10

// BadRecord is the error for a record that can never be processed, however
// often the stage tries. Any other error of a stage is worth a retry.
type BadRecord struct {
	Reason Reason
	Err    error
}

// Error returns the reason and the cause.
func (e *BadRecord) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.Err) }

// Unwrap returns the cause without the reason.
func (e *BadRecord) Unwrap() error { return e.Err }

// Bad returns a *BadRecord with reason r and a cause formatted as by fmt.Errorf.
func Bad(r Reason, format string, args ...any) error {
	return &BadRecord{Reason: r, Err: fmt.Errorf(format, args...)}
}
